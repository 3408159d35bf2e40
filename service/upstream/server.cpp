#include "service/upstream/server.h"

#include <algorithm>
#include <utility>

#include <boost/asio/error.hpp>

#include "service/tls/session.h"

namespace sluice::upstream {

using runtime::Time;

namespace {

std::string authority_of(const config::Address& address) {
    return address.unix_path.empty() ? address.text : "localhost";
}

Error error_of(const runtime::error_code& error) {
    namespace errors = boost::asio::error;
    if (error == errors::timed_out) return Error::timeout;
    const bool ours = error == errors::no_descriptors || error == errors::no_memory ||
                      error == errors::no_buffer_space || error.value() == ENFILE ||
                      error.value() == EADDRNOTAVAIL;
    return ours ? Error::resources : Error::refused;
}

}  // namespace

Server::Server(const config::Server& settings, const config::Upstream& upstream, unsigned workers,
               telemetry::Log& log, std::shared_ptr<const tls::Connector> connector)
    : addresses(settings.address),
      pool(workers, upstream.max_idle, upstream.idle_timeout),
      text_(settings.address.text),
      authority_(authority_of(settings.address)),
      host_(settings.address.host),
      upstream_(upstream),
      log_(log),
      connector_(std::move(connector)) {}

bool Server::known_as(const config::Server& settings, const config::Upstream& upstream,
                      const tls::Connector* connector) const {
    return text_ == settings.address.text && upstream_.name == upstream.name &&
           upstream_.health == upstream.health && tls::same(connector_.get(), connector);
}

bool Server::same_as(const config::Server& settings, const config::Upstream& upstream,
                     const tls::Connector* connector) const {
    return known_as(settings, upstream, connector) && upstream_.max_idle == upstream.max_idle &&
           upstream_.idle_timeout == upstream.idle_timeout;
}

std::expected<Server::Stream, Error> Server::dial(runtime::Time deadline, runtime::Endpoint* peer,
                                                  Pointless pointless) {
    if (addresses.fixed()) return dial_one(addresses.only(), deadline, deadline, pointless);  // nearly always
    const auto all = while_wanted(deadline, pointless, [&](Time until) { return addresses.in_turn(until); });
    if (!all) return std::unexpected(all.error());
    Error last = Error::lookup;
    std::size_t left = all->size();
    for (const runtime::Endpoint& address : *all) {
        // One that does not answer leaves the others some of the time; not the same for each, which of many
        // would be too little to connect to any.
        const Time now = runtime::now();
        if (now >= deadline) break;
        const Time share = now + std::max<runtime::Duration>((deadline - now) / 2, kShareMin);
        auto stream =
            dial_one(address, --left > 0 ? std::min(share, deadline) : deadline, deadline, pointless);
        if (stream) {
            if (peer != nullptr) *peer = address;
            return stream;
        }
        last = stream.error();
        if (last == Error::resources || last == Error::client_gone) return stream;
    }
    addresses.doubt();
    return std::unexpected(last);
}

std::expected<Server::Stream, Error> Server::dial_one(const runtime::Endpoint& peer, Time share,
                                                      Time deadline, Pointless pointless) {
    auto tcp = while_wanted(share, pointless, [&](Time until) -> std::expected<runtime::TcpStream, Error> {
        auto begun = runtime::TcpStream::begin_connect(peer, until);
        if (!begun) return std::unexpected(error_of(begun.error()));
        return std::move(*begun);
    });
    if (!tcp) return std::unexpected(tcp.error());
    const auto connected = while_wanted(share, pointless, [&](Time until) -> std::expected<void, Error> {
        if (const runtime::error_code error = tcp->await_connected(until))
            return std::unexpected(error_of(error));
        return {};
    });
    if (!connected) return std::unexpected(connected.error());
    if (connector_) return secure(std::move(*tcp), deadline, pointless);
    return std::move(*tcp);
}

std::expected<Server::Stream, Error> Server::secure(runtime::TcpStream tcp, Time deadline,
                                                    Pointless pointless) {
    auto session = connector_->begin(host_, resumption_);
    if (!session) {
        tell_handshake_failed(session.error());
        return std::unexpected(Error::tls);
    }
    tcp.write_deadline(deadline);
    std::string reason;
    const auto shaken = while_wanted(deadline, pointless, [&](Time until) -> std::expected<void, Error> {
        tcp.read_deadline(until);
        auto done = (*session)->handshake(tcp);
        if (done) return {};
        reason = std::move(done.error().reason);
        return std::unexpected(done.error().late ? Error::timeout : Error::tls);
    });
    if (shaken) return Stream(std::move(tcp), std::move(*session));
    if (shaken.error() != Error::client_gone) tell_handshake_failed(reason);
    return std::unexpected(shaken.error());
}

void Server::tell_handshake_failed(const std::string& reason) {
    if (const auto held_back = handshake_failed_.permit(runtime::now())) {
        log_.warn(
            "a TLS handshake with a server failed",
            {{"upstream", upstream_.name}, {"server", text_}, {"reason", reason}, {"held_back", *held_back}});
    }
}

std::expected<std::unique_ptr<Connection>, Error> Server::connect(runtime::Time deadline,
                                                                  Pointless pointless) {
    const std::uint32_t version = addresses.version();
    runtime::Endpoint peer;
    auto stream = dial(deadline, &peer, pointless);
    if (!stream) return std::unexpected(stream.error());
    return std::make_unique<Connection>(std::move(*stream), *this, peer, version);
}

// A name that has moved takes its connections along only if they lead to where it is now.
std::unique_ptr<Connection> Server::take_idle() {
    auto idle = pool.take();
    if (addresses.fixed()) return idle;
    for (; idle; idle = pool.take()) {
        const std::uint32_t version = addresses.version();
        if (idle->version == version) break;
        idle->version = version;
        if (addresses.contain(idle->peer)) break;
    }
    return idle;
}

void Server::keep(std::unique_ptr<Connection> connection, runtime::Time now) {
    pool.put(std::move(connection), now);
    if (retired_.load(std::memory_order_seq_cst)) retire();  // put() may have come too late
}

void Server::retire() {
    retired_.store(true, std::memory_order_seq_cst);
    while (pool.take()) {
    }
}

}  // namespace sluice::upstream
