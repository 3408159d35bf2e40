#include "service/proxy/tunnel.h"

#include <array>
#include <new>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <sys/uio.h>

#include "runtime/go.h"
#include "runtime/this_task.h"
#include "service/proxy/connection.h"
#include "service/proxy/relay.h"
#include "service/proxy/write_all.h"

namespace sluice::proxy {

namespace {

// What a direction reads at once. On the stack of its task; only the part that is used costs memory.
constexpr std::size_t kPiece = 16 * 1024;

// How long a direction dozes before it looks after both ends: nobody else hears of one that has ended its
// own direction already, and is reset then.
constexpr runtime::Duration kLookAfter = std::chrono::seconds(30);
constexpr runtime::Duration kLookAfterHalf = std::chrono::seconds(1);

}  // namespace

Tunnel::Tunnel(Context& context, TunnelParts parts, const config::Timeouts& timeouts)
    : context_(context),
      client_(parts.client),
      upstream_(std::move(parts.upstream)),
      idle_(timeouts.tunnel),
      began_(parts.began),
      lease_(std::move(parts.lease)),
      slots_(std::move(parts.slots)),
      up_(*this, client_.stream(), lease_.stream(), upstream_->settings().stall_timeout),
      down_(*this, lease_.stream(), client_.stream(), timeouts.write),
      outcome_(parts.outcome),
      moved_(runtime::now()) {
    context_.telemetry.counters.tunnel_opened();
}

Tunnel::~Tunnel() {
    context_.telemetry.counters.tunnel_closed();
}

// The other direction first: an upstream may wait for its bytes to be taken before it takes any.
void Tunnel::start(std::string_view early, std::uint64_t sent) {
    down_.bytes = sent;
    resume(down_);
    if (!early.empty()) {
        runtime::error_code error;
        pass_on(up_, early, error);
        if (error) return fail(cause_of(up_.sink, error));
    }
    resume(up_);
}

// In a task of its own when there is something to do: the caller's stack is deep.
void Tunnel::resume(Way& way) {
    if (rest(way)) return;
    try {
        runtime::go([this, &way] { relay(way); });
    } catch (const std::bad_alloc&) {  // there is no memory for a stack
        fail(Cause::cancelled);
    }
}

void Tunnel::cancel() {
    cancelled_.store(true, std::memory_order_relaxed);
    up_.source.cancel();
    down_.source.cancel();
}

void Tunnel::woken(runtime::Dormant& self, runtime::Wake why) {
    Way& way = static_cast<Way&>(self);
    Tunnel& whole = way.whole;
    if (why == runtime::Wake::deadline && runtime::now() >= whole.idle_until())
        return whole.fail(Cause::idle);
    if (why != runtime::Wake::readable) {
        if (const auto cause = whole.broken(way)) return whole.fail(*cause);
        if (whole.rest(way)) return;
    }
    whole.relay(way);
}

// Until there is nothing to read. True: the direction dozes, and may be another task's already, or gone.
bool Tunnel::rest(Way& way) {
    const bool half = half_.load(std::memory_order_relaxed);
    const runtime::Time look = runtime::now() + (half ? kLookAfterHalf : kLookAfter);
    return way.source.doze(way, std::min(idle_until(), look));
}

void Tunnel::relay(Way& way) {
    std::array<char, kPiece> piece;
    for (unsigned pieces = 1;; ++pieces) {
        // Where neither end keeps us waiting, others wait for the worker.
        if (pieces % kPiecesInARow == 0) runtime::this_task::yield();
        runtime::error_code error;
        // What woke us may have been read already; then nothing is there, and this must not wait for more.
        way.source.read_deadline(runtime::now());
        const std::size_t n = way.source.read_some(boost::asio::buffer(piece), error);
        if (error == boost::asio::error::timed_out) {
            if (rest(way)) return;
            continue;
        }
        if (error == boost::asio::error::eof) {
            way.sink.shutdown_send(error);
            half_.store(true, std::memory_order_relaxed);
            way.sink.rouse();  // the other direction looks oftener from now on
            return end();
        }
        if (error) return fail(cause_of(way.source, error));
        pass_on(way, {piece.data(), n}, error);
        if (error) return fail(cause_of(way.sink, error));
        if (n < piece.size() && rest(way)) return;
    }
}

void Tunnel::pass_on(Way& way, std::string_view bytes, runtime::error_code& error) {
    const runtime::Time now = runtime::now();
    iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    write_all(way.sink, {&piece, 1}, now, way.patience, error);
    moved_.store(runtime::now(), std::memory_order_relaxed);  // a slow receiver is no silence
    if (!error) way.bytes += bytes.size();
}

// Whether the end that a direction passes bytes on to was reset. Nobody reads from it any more, when its own
// direction has ended, and so hears of it.
std::optional<Tunnel::Cause> Tunnel::broken(const Way& way) const {
    if (!half_.load(std::memory_order_relaxed) || !way.sink.hung_up()) return std::nullopt;
    if (cancelled_.load(std::memory_order_relaxed)) return Cause::cancelled;
    return &way == &down_ ? Cause::client : Cause::upstream;
}

// Whoever failed first is why; what the other direction meets then is a consequence.
void Tunnel::fail(Cause cause) {
    Cause none = Cause::closed;
    cause_.compare_exchange_strong(none, cause, std::memory_order_relaxed);
    cancel();
    end();
}

// An end that was not in order must not look like one to either side: whoever was given up may read on.
void Tunnel::end() {
    if (open_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const Cause cause = cause_.load(std::memory_order_relaxed);
    account(cause);
    if (cause == Cause::client || cause == Cause::upstream || cause == Cause::upstream_stalled) {
        lease_.stream().reset_on_close();
        client_.stream().reset_on_close();
    }
    client_.end();
}

void Tunnel::account(Cause cause) {
    telemetry::RequestOutcome& outcome = outcome_.outcome();
    outcome.bytes_in = up_.bytes;
    outcome.bytes_out = down_.bytes;
    outcome.duration = runtime::now() - began_;
    outcome.client_aborted = cause == Cause::client;
    if (cause == Cause::upstream) outcome.failure = telemetry::UpstreamFailure::reset;
    if (cause == Cause::upstream_stalled) outcome.failure = telemetry::UpstreamFailure::stall_timeout;
    context_.telemetry.account(outcome);
}

Tunnel::Cause Tunnel::cause_of(const tls::Stream& stream, const runtime::error_code& error) const {
    if (error == boost::asio::error::operation_aborted) return Cause::cancelled;
    if (&stream == &client_.stream()) return Cause::client;
    return error == boost::asio::error::timed_out ? Cause::upstream_stalled : Cause::upstream;
}

runtime::Time Tunnel::idle_until() const {
    return moved_.load(std::memory_order_relaxed) + idle_;
}

}  // namespace sluice::proxy
