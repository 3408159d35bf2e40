#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "service/telemetry/cell.h"
#include "service/telemetry/histogram.h"
#include "service/telemetry/outcome.h"

namespace sluice::telemetry {

/// Everything that was counted until now, over all workers: a value, what /stats and /metrics are made of.
struct Totals {
    static constexpr std::size_t kStatusMin = 100;
    static constexpr std::size_t kStatuses =
        900;  // 100..999: what an upstream says goes on, 600 and above too

    std::uint64_t connections_accepted = 0;
    std::uint64_t connections_closed = 0;
    std::uint64_t connections_refused = 0;
    std::uint64_t handshakes_done = 0;  // of TLS, with clients
    std::uint64_t handshakes_failed = 0;
    std::uint64_t tunnels_opened = 0;  // connections that changed to another protocol
    std::uint64_t tunnels_closed = 0;

    std::uint64_t requests_started = 0;
    std::uint64_t requests = 0;  // accounted
    std::array<std::uint64_t, kVerdicts> by_verdict{};
    std::uint64_t delayed = 0;
    std::uint64_t shadow_limited = 0;
    std::uint64_t client_aborted = 0;
    std::uint64_t shed = 0;                            // told 503 while memory was short
    std::array<std::uint64_t, kStatuses> by_status{};  // index: status - kStatusMin

    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;

    std::uint64_t retries = 0;
    std::array<std::uint64_t, kUpstreamFailures> upstream_failures{};

    LatencyHistogram forwarded;  // requests that an upstream answered, or should have
    LatencyHistogram own;        // refusals, `respond`, errors of our own

    // The cells are read while they are written: a difference of two may be off by a few, and is never
    // negative.
    std::uint64_t connections_open() const { return difference(connections_accepted, connections_closed); }
    std::uint64_t tunnels_open() const { return difference(tunnels_opened, tunnels_closed); }
    std::uint64_t in_flight() const { return difference(requests_started, requests); }
    std::uint64_t verdicts(Verdict v) const { return by_verdict[static_cast<std::size_t>(v)]; }
    LatencyHistogram latency() const;

  private:
    static std::uint64_t difference(std::uint64_t more, std::uint64_t less) {
        return more > less ? more - less : 0;
    }
};

/// Counts connections and requests. Any task of the scheduler it was made for, and any thread, may call
/// anything at any time; nothing parks, locks or allocates but totals(). account() costs under 30 ns.
class Counters {
  public:
    explicit Counters(unsigned workers) : shards_(workers) {}

    /// A connection that is being served, until connection_closed().
    void connection_accepted() noexcept;
    void connection_closed() noexcept;
    /// One that was turned away: max.connections, or no descriptor left. Not counted as accepted.
    void connection_refused() noexcept;
    /// The end of a client's TLS handshake.
    void handshake_done() noexcept;
    void handshake_failed() noexcept;
    /// A connection that is a tunnel now, until tunnel_closed().
    void tunnel_opened() noexcept;
    void tunnel_closed() noexcept;

    /// The first byte of a request has come: from here on it is in flight, until account().
    void request_started() noexcept;
    /// One that is told 503, undecided, because memory is short.
    void request_shed() noexcept;
    /// The end of a request. REQUIRES: one request_started() for each.
    void account(const RequestOutcome& outcome) noexcept;

    /// Sums over the workers; some 20 µs.
    Totals totals() const;

  private:
    struct Shard {
        Cell accepted, closed, refused, handshakes, handshakes_failed, tunnels, tunnels_closed;
        Cell started, finished, delayed, shadow_limited, client_aborted, shed;
        Cell bytes_in, bytes_out, retries;
        std::array<Cell, kVerdicts> verdict;
        std::array<Cell, kUpstreamFailures> failure;
        std::array<Cell, Totals::kStatuses> status;
        LatencyShard forwarded, own;
    };

    PerWorker<Shard> shards_;
};

/// What one limit did; one for each limit of the configuration, so that the number of series is bounded by
/// it. Belongs to the limit and survives a reload with it. Written by the policy as it decides, as Counters
/// are.
class LimitCounters {
  public:
    enum class Outcome : std::uint8_t { allowed, limited, delayed, shadow_limited, banned };
    static constexpr std::size_t kOutcomes = 5;

    explicit LimitCounters(unsigned workers) : shards_(workers) {}

    /// A request that this limit applied to and let through (`allowed`, and `delayed` besides when it had to
    /// wait), refused (`limited`, `banned`), or would have refused (`shadow_limited`).
    void count(Outcome outcome) noexcept {
        shards_.update(
            [=](Shard& shard, Adder add) { add(shard.outcomes[static_cast<std::size_t>(outcome)]); });
    }
    std::uint64_t total(Outcome outcome) const;

  private:
    struct Shard {
        std::array<Cell, kOutcomes> outcomes;
    };

    PerWorker<Shard> shards_;
};

/// "allowed", "shadow_limited": the label of sluice_requests_total.
std::string_view name(LimitCounters::Outcome outcome) noexcept;

}  // namespace sluice::telemetry
