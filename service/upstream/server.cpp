#include "service/upstream/server.h"

#include <chrono>
#include <utility>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "runtime/resolve.h"

namespace sluice::upstream {

using namespace std::chrono_literals;

namespace {

// How long the addresses of a name are taken for good. getaddrinfo() does not tell their time to live.
constexpr runtime::Duration kLookupHolds = 30s;

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

Server::Server(const config::Server& settings, const config::Upstream& upstream, unsigned workers)
    : pool(workers, upstream.max_idle, upstream.idle_timeout),
      text_(settings.address.text),
      authority_(authority_of(settings.address)),
      host_(settings.address.host),
      port_(settings.address.port) {
    boost::system::error_code not_digits;
    if (!settings.address.unix_path.empty()) {
        fixed_ = true;
        known_ = {boost::asio::local::stream_protocol::endpoint(settings.address.unix_path)};
    } else if (const auto ip = boost::asio::ip::make_address(host_, not_digits); !not_digits) {
        fixed_ = true;
        known_ = {boost::asio::ip::tcp::endpoint(ip, port_)};
    }
}

std::expected<tls::Stream, Error> Server::connect(runtime::Time now, runtime::Time deadline) {
    if (fixed_) {  // nearly always; touches nothing that is shared
        auto stream = runtime::TcpStream::connect(known_.front(), deadline);
        if (!stream) return std::unexpected(error_of(stream.error()));
        return std::move(*stream);
    }
    const auto endpoints = look_up(now, deadline);
    if (!endpoints) return std::unexpected(endpoints.error());
    Error last = Error::lookup;
    for (const runtime::Endpoint& endpoint : *endpoints) {
        auto stream = runtime::TcpStream::connect(endpoint, deadline);
        if (stream) return std::move(*stream);
        last = error_of(stream.error());
        if (last != Error::refused) break;
    }
    forget_lookup();
    return std::unexpected(last);
}

std::expected<std::vector<runtime::Endpoint>, Error> Server::look_up(runtime::Time now,
                                                                     runtime::Time deadline) {
    {
        const std::scoped_lock hold(lock_);
        if (!known_.empty() && now - looked_up_ < kLookupHolds) return known_;
    }
    auto found = runtime::resolve(host_, port_, deadline);
    if (!found) {
        return std::unexpected(found.error() == boost::asio::error::timed_out ? Error::timeout
                                                                              : Error::lookup);
    }
    const std::scoped_lock hold(lock_);
    known_ = *found;
    looked_up_ = now;
    return std::move(*found);
}

void Server::forget_lookup() {
    const std::scoped_lock hold(lock_);
    known_.clear();
}

}  // namespace sluice::upstream
