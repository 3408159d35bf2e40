#pragma once

// What is left of an exchange whose connection has changed to another protocol (RFC 9110 §7.8): bytes, both
// ways, of which the proxy knows nothing but their number.
//
// While nothing comes, a direction is a place in the netpoller: no task, no stack, no buffer, as with an idle
// connection. Bytes start a task that passes on what is there, then lets the direction doze again; while the
// receiver does not read, it waits with one piece in hand, and the sender is not read either.
//
// Owned by the client's Connection. The direction that ends last tells the request's outcome and deletes the
// connection, this with it.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "config/model.h"
#include "runtime/netpoller.h"
#include "service/policy/slots.h"
#include "service/proxy/context.h"
#include "service/telemetry/kept_outcome.h"
#include "service/tls/stream.h"
#include "service/upstream/upstream.h"

namespace sluice::proxy {

class Connection;

/// All that outlives the exchange that asked for the tunnel.
struct TunnelParts {
    Connection& client;
    std::shared_ptr<upstream::Upstream> upstream;  // before the lease, which refers to it
    upstream::Lease lease;
    policy::KeptSlots slots;  // of limits that count it as a request in flight, until it ends
    runtime::Time began;      // the first byte of the request
    const telemetry::RequestOutcome& outcome;  // but for duration and bytes
};

class Tunnel {
  public:
    Tunnel(Context& context, TunnelParts parts, const config::Timeouts& timeouts);
    Tunnel(const Tunnel&) = delete;
    ~Tunnel();

    /// Lets both directions run, beginning with what the client has sent behind its request; `sent` bytes
    /// went to the client behind the answer. Parks while the upstream does not take `early`. The connection
    /// may be gone on return.
    void start(std::string_view early, std::uint64_t sent);

    /// The end of a drain: both directions end now. Any thread, while the connection is in the registry.
    void cancel();

  private:
    /// One direction. Of the task that passes its bytes on, or of nobody while it dozes.
    struct Way final : runtime::Dormant {
        Way(Tunnel& tunnel, tls::Stream& from, tls::Stream& to, runtime::Duration stall)
            : Dormant(&Tunnel::woken), whole(tunnel), source(from), sink(to), patience(stall) {}

        Tunnel& whole;
        tls::Stream& source;
        tls::Stream& sink;
        const runtime::Duration patience;  // with a sink that takes nothing
        std::uint64_t bytes = 0;           // that were passed on
    };

    /// Why it ended; the first direction to fail says so.
    enum class Cause : unsigned char { closed, idle, cancelled, client, upstream, upstream_stalled };

    static void woken(runtime::Dormant& self, runtime::Wake why);
    void resume(Way& way);
    void relay(Way& way);
    bool rest(Way& way);
    void pass_on(Way& way, std::string_view bytes, runtime::error_code& error);

    std::optional<Cause> broken(const Way& way) const;
    void fail(Cause cause);
    void end();
    void account(Cause cause);
    Cause cause_of(const tls::Stream& stream, const runtime::error_code& error) const;
    runtime::Time idle_until() const;

    // Fixed.
    Context& context_;
    Connection& client_;
    const std::shared_ptr<upstream::Upstream> upstream_;
    const runtime::Duration idle_;
    const runtime::Time began_;

    upstream::Lease lease_;
    const policy::KeptSlots slots_;
    Way up_;
    Way down_;
    telemetry::KeptOutcome outcome_;

    std::atomic<runtime::Time> moved_;  // when bytes last went either way
    std::atomic<Cause> cause_{Cause::closed};
    std::atomic<unsigned char> open_{2};  // directions that have not ended
    std::atomic<bool> half_{false};       // one of them has
    std::atomic<bool> cancelled_{false};
};

}  // namespace sluice::proxy
