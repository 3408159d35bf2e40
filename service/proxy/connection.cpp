#include "service/proxy/connection.h"

#include <array>
#include <memory>
#include <new>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "runtime/go.h"
#include "runtime/this_task.h"
#include "service/http/reply.h"
#include "service/proxy/exchange.h"
#include "service/proxy/introduction.h"
#include "service/proxy/tunnel.h"

namespace sluice::proxy {

using namespace std::chrono_literals;

namespace {

// How long, and how much, a client that is told to go may go on sending: long enough for it to read the
// answer. Whoever sends what is no HTTP is not waited for as patiently.
constexpr runtime::Duration kLinger = 2s;
constexpr runtime::Duration kLingerMalformed = 1s;
constexpr std::size_t kLingerBytes = 32 << 20;
constexpr std::size_t kLingerBytesMalformed = 256 << 10;

}  // namespace

void Connection::start(Context& context, std::shared_ptr<const Entrances> entrances, tls::Stream stream,
                       const runtime::Endpoint& peer, runtime::Duration patience) {
    auto* const connection =
        new (std::nothrow) Connection(context, std::move(entrances), std::move(stream), peer);
    if (connection == nullptr) return context.registry.leave();
    const runtime::Time deadline = runtime::now() + patience;
    if (connection->rest(deadline)) return;
    try {
        runtime::go([=] { connection->serve(deadline); });
    } catch (const std::bad_alloc&) {  // there is no memory for a stack
        delete connection;
    }
}

Connection::Connection(Context& context, std::shared_ptr<const Entrances> entrances, tls::Stream stream,
                       const runtime::Endpoint& peer)
    : Dormant(&Connection::woken),
      context_(context),
      entrances_(std::move(entrances)),
      stream_(std::move(stream)),
      peer_(policy::address_of(peer)),
      entrance_(&entrances_->entries().front()),
      introduced_(!entrance_->proxy_protocol) {
    context_.registry.add(*this);
    context_.telemetry.counters.connection_accepted();
}

Connection::~Connection() {
    context_.registry.remove(*this);
    delete tunnel_.load(std::memory_order_relaxed);
    stream_.close();
    context_.telemetry.counters.connection_closed();
    context_.registry.leave();
}

void Connection::woken(runtime::Dormant& self, runtime::Wake why) {
    auto& connection = static_cast<Connection&>(self);
    if (connection.leaving_.load(std::memory_order_relaxed)) [[unlikely]] {
        if (why != runtime::Wake::deadline) return connection.read_off();
        return connection.end();
    }
    if (why == runtime::Wake::readable || (why == runtime::Wake::roused && connection.has_request())) {
        const runtime::Time reported = runtime::this_task::since();
        const config::Timeouts& timeouts = connection.snapshot().config.timeouts;
        // The bytes may be an empty line, or a TLS record without data. Between two plaintext requests an
        // empty line does not end the idle time: keep_alive still applies, not timeouts.head.
        const bool secure = connection.stream_.secure();
        const bool idles = connection.requests_ > 0 && !secure;
        connection.serve(reported + (idles ? timeouts.keep_alive : timeouts.head),
                         secure ? runtime::Time{} : reported);
    } else {
        delete &connection;  // idle for too long, or we are draining
    }
}

// The smallest stack that the configuration may ask for is 256 KiB: the calls on top of this take some 25 KiB
// more, also where the deepest are OpenSSL's (tests/integration/test_stack_depth.py measures it).
static_assert(sizeof(Buffers) + sizeof(Exchange) <= 200 * 1024);

void Connection::serve(runtime::Time first_by, runtime::Time reported) {
    try {
        serve_requests(first_by, reported);
    } catch (const std::bad_alloc&) {  // it has ended
    }
}

void Connection::serve_requests(runtime::Time first_by, runtime::Time reported) {
    // Ends it, also where memory runs out; until it dozes or is a tunnel.
    const auto end = [](Connection* connection) { delete connection; };
    std::unique_ptr<Connection, decltype(end)> self(this, end);
    Buffers buffers;
    if (!introduced_) [[unlikely]] {
        if (!introduce(buffers.request, first_by)) return;
        if (buffers.request.empty() && rest(first_by)) return void(self.release());
    }
    if (entrances_->acceptor() != nullptr && !stream_.secure()) [[unlikely]] {
        const After after = shake_hands(buffers.request.bytes(), first_by);
        if (after != After::next) return self.release()->leave(after);
        buffers.request.keep(buffers.request.bytes().last(0));
        if (rest(first_by)) return void(self.release());
    }
    for (;;) {
        ++requests_;
        Exchange exchange(context_, *this, buffers);
        const After after = exchange.run(first_by, std::exchange(reported, {}));
        if (after == After::next) {
            first_by = exchange.ended() + snapshot_->config.timeouts.keep_alive;
            if (!buffers.request.empty() || !rest(first_by)) continue;
            return void(self.release());  // another task's now, or nobody's
        }
        if (after == After::tunnel) {
            snapshot_.reset();  // a reload is not to keep it for the hours that a tunnel may last
            return self.release()
                ->tunnel_.load(std::memory_order_relaxed)
                ->start(buffers.request.view(), exchange.sent_behind_head());
        }
        return self.release()->leave(after);
    }
}

void Connection::change_to(std::unique_ptr<Tunnel> tunnel) {
    tunnel_.store(tunnel.release(), std::memory_order_release);
}

void Connection::cancel() {
    if (Tunnel* const tunnel = tunnel_.load(std::memory_order_acquire)) tunnel->cancel();
    stream_.cancel();
}

// Whoever speaks HTTP in the clear where TLS is spoken is told so, since its user can do something about it.
[[gnu::noinline]] After Connection::shake_hands(std::span<const char> early, runtime::Time deadline) {
    stream_.read_deadline(deadline);
    auto accepted = entrances_->acceptor()->accept(stream_.plain(), early);
    if (accepted) {
        context_.telemetry.counters.handshake_done();
        entrance_ = &entrances_->entries()[accepted->entry];
        stream_.protect(std::move(accepted->session));
        return After::next;
    }
    const tls::Acceptor::Refused& refused = accepted.error();
    context_.telemetry.counters.handshake_failed();
    context_.telemetry.log.debug("a TLS handshake failed",
                                 {{"peer", limit::to_string(peer_)}, {"reason", refused.reason}});
    if (!refused.plain_http) return After::close;
    runtime::error_code error;
    stream_.write_deadline(runtime::Time::min());  // into an empty send buffer: it need not wait
    stream_.end_follows();
    stream_.write_some(boost::asio::buffer(http::kPlainHttp), error);
    return After::cut_short;
}

// Reads the PROXY header that goes before all else, TLS too. False: there is none, and nothing of ours may be
// sent to whoever does not speak the protocol.
[[gnu::noinline]] bool Connection::introduce(ReceiveBuffer& buffer, runtime::Time deadline) {
    stream_.read_deadline(deadline);
    const auto header = read_introduction(stream_.plain(), buffer);
    if (!header) {
        if (header.error().empty()) return false;  // it left
        if (const auto held_back = context_.not_introduced.permit(runtime::now())) {
            context_.telemetry.log.warn(
                "a connection did not begin with a PROXY header as it must here; closed",
                {{"peer", peer_ == policy::kNoAddress ? "unix:" : limit::to_string(peer_)},
                 {"listener", entrance_->name},
                 {"reason", header.error()},
                 {"setting", "listen[].proxy_protocol"},
                 {"held_back", *held_back}});
        }
        return false;
    }
    using From = http::ProxyHeader::Source;
    if (header->source == From::address) peer_ = header->address;
    if (header->source == From::unix_socket) peer_ = policy::kNoAddress;
    introduced_ = true;
    return true;
}

// Whether something can be read now. A drain may wake an idle connection at the moment in which its next
// request comes.
bool Connection::has_request() {
    runtime::error_code error;
    stream_.read_deadline(runtime::Time::min());
    stream_.wait_readable(error);
    return !error;
}

// Hands the connection to the netpoller; true: it may be gone already. False: there is something to read.
bool Connection::rest(runtime::Time deadline) {
    return stream_.doze(*this, deadline);
}

bool Connection::goes_on() const {
    const std::uint64_t most = snapshot_->config.max.requests_per_connection;
    return (most == 0 || requests_ < most) && !context_.draining.load(std::memory_order_relaxed);
}

// The client may be sending still. Closing now would make its kernel answer with a reset, which can destroy
// what we sent before the client has read it (RFC 9112 §9.6): end our side, and read on for a while, without
// a task or a stack while nothing comes.
void Connection::leave(After after) {
    if (after == After::linger || after == After::cut_short) {
        const bool http = after == After::linger;
        runtime::error_code error;
        stream_.shutdown_send(error);
        left_by_ = runtime::now() + (http ? kLinger : kLingerMalformed);
        unread_max_ = http ? kLingerBytes : kLingerBytesMalformed;
        leaving_.store(true, std::memory_order_relaxed);
        return read_off();
    }
    if (after == After::reset) stream_.reset_on_close();  // by the destructor, out of the registry
    end();
}

[[gnu::noinline]] void Connection::read_off() {
    std::array<char, 16 * 1024> scrap;
    for (;;) {
        runtime::error_code error;
        stream_.read_deadline(runtime::now());
        const std::size_t n = stream_.read_some(boost::asio::buffer(scrap), error);
        if (error == boost::asio::error::timed_out) {
            if (runtime::now() >= left_by_) break;
            if (rest(left_by_)) return;
            runtime::this_task::yield();  // what is there may be no data, and without end: records of TLS
        } else if (error || n >= unread_max_) {
            break;
        }
        unread_max_ -= static_cast<std::uint32_t>(n);
    }
    end();
}

}  // namespace sluice::proxy
