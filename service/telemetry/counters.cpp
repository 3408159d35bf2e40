#include "service/telemetry/counters.h"

namespace sluice::telemetry {

LatencyHistogram Totals::latency() const {
    LatencyHistogram all = forwarded;
    all.merge(own);
    return all;
}

void Counters::connection_accepted() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.accepted); });
}

void Counters::connection_closed() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.closed); });
}

void Counters::connection_refused() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.refused); });
}

void Counters::handshake_done() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.handshakes); });
}

void Counters::handshake_failed() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.handshakes_failed); });
}

void Counters::tunnel_opened() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.tunnels); });
}

void Counters::tunnel_closed() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.tunnels_closed); });
}

void Counters::request_started() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.started); });
}

void Counters::request_shed() noexcept {
    shards_.update([](Shard& shard, Adder add) { add(shard.shed); });
}

void Counters::account(const RequestOutcome& outcome) noexcept {
    shards_.update([&](Shard& shard, Adder add) {
        add(shard.finished);
        add(shard.verdict[static_cast<std::size_t>(outcome.verdict)]);
        if (const std::size_t at = outcome.status - Totals::kStatusMin; at < Totals::kStatuses)
            add(shard.status[at]);
        if (outcome.bytes_in != 0) add(shard.bytes_in, outcome.bytes_in);
        if (outcome.bytes_out != 0) add(shard.bytes_out, outcome.bytes_out);
        if (outcome.delayed) add(shard.delayed);
        if (outcome.shadow_limited) add(shard.shadow_limited);
        if (outcome.client_aborted) add(shard.client_aborted);
        if (outcome.retries != 0) add(shard.retries, outcome.retries);
        if (outcome.failure != UpstreamFailure::none)
            add(shard.failure[static_cast<std::size_t>(outcome.failure)]);
        // How long a tunnel lasted is no latency; how long it took to open is.
        (outcome.forwarded() ? shard.forwarded : shard.own)
            .record(add, outcome.status == 101 ? outcome.upstream_duration : outcome.duration);
    });
}

Totals Counters::totals() const {
    Totals totals;
    // Ends before beginnings: what begins and ends between the two reads shows as in flight, not as less than
    // none.
    totals.requests = shards_.sum(&Shard::finished);
    totals.connections_closed = shards_.sum(&Shard::closed);
    totals.tunnels_closed = shards_.sum(&Shard::tunnels_closed);
    shards_.each([&](const Shard& shard) {
        totals.connections_accepted += shard.accepted.get();
        totals.connections_refused += shard.refused.get();
        totals.handshakes_done += shard.handshakes.get();
        totals.handshakes_failed += shard.handshakes_failed.get();
        totals.tunnels_opened += shard.tunnels.get();
        totals.requests_started += shard.started.get();
        totals.delayed += shard.delayed.get();
        totals.shadow_limited += shard.shadow_limited.get();
        totals.client_aborted += shard.client_aborted.get();
        totals.shed += shard.shed.get();
        totals.bytes_in += shard.bytes_in.get();
        totals.bytes_out += shard.bytes_out.get();
        totals.retries += shard.retries.get();
        for (std::size_t i = 0; i < kVerdicts; ++i) totals.by_verdict[i] += shard.verdict[i].get();
        for (std::size_t i = 0; i < kUpstreamFailures; ++i)
            totals.upstream_failures[i] += shard.failure[i].get();
        for (std::size_t i = 0; i < Totals::kStatuses; ++i) totals.by_status[i] += shard.status[i].get();
        totals.forwarded.merge(shard.forwarded);
        totals.own.merge(shard.own);
    });
    return totals;
}

std::uint64_t LimitCounters::total(Outcome outcome) const {
    std::uint64_t total = 0;
    shards_.each(
        [&](const Shard& shard) { total += shard.outcomes[static_cast<std::size_t>(outcome)].get(); });
    return total;
}

std::string_view name(LimitCounters::Outcome outcome) noexcept {
    static constexpr std::string_view kNames[] = {"allowed", "limited", "delayed", "shadow_limited",
                                                  "banned"};
    static_assert(std::size(kNames) == LimitCounters::kOutcomes);
    return kNames[static_cast<std::size_t>(outcome)];
}

}  // namespace sluice::telemetry
