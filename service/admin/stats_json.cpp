#include "service/admin/stats_json.h"

#include <array>
#include <optional>

#include "service/admin/json_body.h"
#include "service/telemetry/line_writer.h"

namespace sluice::admin {
namespace {

using config::each;
using telemetry::UpstreamFailure;
using telemetry::Verdict;
using WallTime = std::chrono::system_clock::time_point;

std::string timestamp(WallTime when) {
    std::array<char, 32> buffer;
    telemetry::LineWriter out(buffer);
    out.time(when);
    return {buffer.data(), out.size()};
}

// The time of day that is so far from `now`.
std::optional<std::string> timestamp_in(const std::optional<runtime::Duration>& time, WallTime now) {
    if (!time) return std::nullopt;
    return timestamp(now + std::chrono::duration_cast<WallTime::duration>(*time));
}

auto quantiles(const telemetry::LatencyHistogram& histogram) {
    return [&](JsonObject& out) { add_quantiles(out, histogram); };
}

// What there is of the last one; null before the first.
auto reloads(const ReloadFigures& reloads) {
    return [&](JsonObject& out) {
        out.add({{"reloads", reloads.reloads},
                 {"reloads_failed", reloads.failed},
                 {"last_reload_ok", reloads.last_ok},
                 {"last_reload_seconds_ago", reloads.last_ago},
                 {"last_success_seconds_ago", reloads.last_success_ago}});
    };
}

auto by_status(const telemetry::Totals& totals) {
    return [&](JsonObject& out) {
        for (std::size_t i = 0; i < totals.by_status.size(); ++i)
            if (const auto n = totals.by_status[i]) out.add(std::to_string(i + totals.kStatusMin), n);
    };
}

auto requests(const telemetry::Totals& totals) {
    return [&](JsonObject& out) {
        out.add({{"total", totals.requests},
                 {"in_flight", totals.in_flight()},
                 {"allowed", totals.verdicts(Verdict::allowed)},
                 {"limited", totals.verdicts(Verdict::limited)},
                 {"delayed", totals.delayed},
                 {"shadow_limited", totals.shadow_limited},
                 {"denied", totals.verdicts(Verdict::denied)},
                 {"banned", totals.verdicts(Verdict::banned)},
                 {"undecided", totals.verdicts(Verdict::none)},
                 {"client_aborted", totals.client_aborted},
                 {"shed", totals.shed},
                 {"bytes_in", totals.bytes_in},
                 {"bytes_out", totals.bytes_out},
                 {"by_status", by_status(totals)}});
    };
}

auto latency(const telemetry::Totals& totals) {
    return [&](JsonObject& out) {
        add_quantiles(out, totals.latency());
        out.add({{"forwarded", quantiles(totals.forwarded)}, {"own", quantiles(totals.own)}});
    };
}

auto limit(const LimitFigures& limit) {
    return [&](JsonObject& out) {
        out.add({{"name", limit.name}, {"algorithm", limit.algorithm}, {"mode", limit.mode}});
        if (!limit.rate.empty()) out.add("rate", limit.rate);
        if (limit.burst > 0) out.add("burst", limit.burst);
        if (limit.max > 0) out.add("max", limit.max);
        out.add({{"allowed", limit.allowed},
                 {"limited", limit.limited},
                 {"delayed", limit.delayed},
                 {"shadow_limited", limit.shadow_limited},
                 {"banned", limit.banned},
                 {"clients", limit.clients}});
    };
}

auto clients(const ClientTableFigures& table) {
    return [&](JsonObject& out) {
        out.add({{"tracked", table.tracked},
                 {"max", table.max},
                 {"evicted_idle", table.evicted_idle},
                 {"evicted_full", table.evicted_full},
                 {"turned_away", table.turned_away},
                 {"bytes", table.bytes}});
    };
}

auto janitor(const JanitorFigures& janitor) {
    return [&](JsonObject& out) {
        out.add({{"sweeps", janitor.sweeps},
                 {"last_sweep_seconds", janitor.last_sweep},
                 {"longest_pause_seconds", janitor.longest_pause},
                 {"removed", janitor.removed},
                 {"next_in_seconds", janitor.next_in}});
    };
}

auto server(const ServerFigures& server, WallTime now) {
    return [&server, now](JsonObject& out) {
        out.add({{"address", server.address},
                 {"healthy", server.healthy},
                 {"requests", server.requests},
                 {"failures", server.failures},
                 {"in_flight", server.in_flight},
                 {"connections_open", server.connections_open},
                 {"connections_idle", server.connections_idle},
                 {"weight", server.weight},
                 {"backup", server.backup},
                 {"ejections", server.ejections},
                 {"ejected_until", timestamp_in(server.ejected_for, now)},
                 {"checks", server.checks},
                 {"checks_failed", server.checks_failed}});
    };
}

auto upstream(const UpstreamFigures& upstream, WallTime now) {
    return [&upstream, now](JsonObject& out) {
        const auto one = [now](const ServerFigures& figures) { return server(figures, now); };
        out.add({{"name", upstream.name},
                 {"connections_max", upstream.connections_max},
                 {"connections_used", upstream.connections_used},
                 {"waiting", upstream.waiting},
                 {"servers", each(upstream.servers, one)}});
    };
}

auto failures(const telemetry::Totals& totals) {
    return [&](JsonObject& out) {
        for (std::size_t i = 1; i < totals.upstream_failures.size(); ++i) {
            if (const auto n = totals.upstream_failures[i])
                out.add(telemetry::name(static_cast<UpstreamFailure>(i)), n);
        }
    };
}

auto runtime_part(const runtime::Counters& counters) {
    return [&, &delay = counters.scheduling_delay](JsonObject& out) {
        out.add({{"workers", counters.workers},
                 {"active_workers", counters.active_workers},
                 {"tasks", {{"live", counters.live}, {"spawned", counters.spawned}, {"peak", counters.peak}}},
                 {"steals", counters.steals},
                 {"parks", counters.parks},
                 {"blocking_jobs", counters.blocking_jobs},
                 {"stack_bytes", counters.stack_bytes},
                 {"switches", counters.switches},
                 {"polls", counters.polls},
                 {"uncaught_exceptions", counters.uncaught},
                 {"scheduling_delay_seconds",
                  {{"p50", delay.quantile(0.5)},
                   {"p99", delay.quantile(0.99)},
                   {"p999", delay.quantile(0.999)},
                   {"samples", delay.count()}}}});
    };
}

auto process(const ProcessFigures& process) {
    return [&](JsonObject& out) {
        out.add({{"cpu_seconds", process.cpu_seconds},
                 {"resident_bytes", process.resident_bytes},
                 {"heap_bytes", process.heap_bytes},
                 {"threads", process.threads},
                 {"open_fds", process.open_fds},
                 {"max_fds", process.max_fds}});
    };
}

// Of a container; without a limit there is nothing to tell.
auto memory(const OverloadFigures& overload) {
    return [&](JsonObject& out) {
        out.add({{"used_bytes", overload.used_bytes},
                 {"limit_bytes", overload.limit_bytes},
                 {"overloads", overload.times}});
    };
}

auto client(const ClientFigures& client, WallTime now) {
    return [&client, now](JsonObject& out) {
        out.add({{"key", client.key},
                 {"limit", client.limit},
                 {"allowed", client.allowed},
                 {"denied", client.denied},
                 {"remaining", client.remaining},
                 {"last_seen_seconds", client.last_seen},
                 {"banned_until", timestamp_in(client.banned_for, now)}});
        if (client.in_flight) out.add("in_flight", *client.in_flight);
    };
}

auto ban(const BanFigures& ban, WallTime now) {
    return [&ban, now](JsonObject& out) {
        out.add({{"key", ban.key},
                 {"limit", ban.limit.empty() ? JsonValue(nullptr) : JsonValue(ban.limit)},
                 {"by", ban.by_operator ? "operator" : "limit"},
                 {"since_seconds", ban.since},
                 {"left_seconds", ban.left},
                 {"banned_until", timestamp_in(ban.left, now)}});
    };
}

}  // namespace

void add_quantiles(JsonObject& out, const telemetry::LatencyHistogram& histogram) {
    out.add({{"p50", histogram.quantile(0.5)},
             {"p90", histogram.quantile(0.9)},
             {"p99", histogram.quantile(0.99)},
             {"p999", histogram.quantile(0.999)}});
}

void add_stats(JsonObject& out, const Stats& stats) {
    const telemetry::Totals& totals = stats.totals;
    const auto one = [&](const UpstreamFigures& figures) { return upstream(figures, stats.taken_at); };
    out.add({{"version", stats.version},
             {"uptime_seconds", stats.uptime},
             {"ready", stats.ready},
             {"overloaded", stats.overload.overloaded},
             {"config", reloads(stats.reloads)},
             {"connections",
              {{"open", totals.connections_open()},
               {"accepted", totals.connections_accepted},
               {"refused", totals.connections_refused},
               {"handshakes_failed", totals.handshakes_failed},
               {"tunnels", totals.tunnels_open()}}},
             {"requests", requests(totals)},
             {"latency_seconds", latency(totals)},
             {"limits", each(stats.limits, limit)},
             {"clients", clients(stats.clients)},
             {"bans",
              {{"active", stats.bans.active},
               {"made", stats.bans.made},
               {"lifted", stats.bans.lifted},
               {"expired", stats.bans.expired},
               {"no_room", stats.bans.no_room},
               {"bytes", stats.bans.bytes}}},
             {"janitor", janitor(stats.janitor)},
             {"upstreams", each(stats.upstreams, one)},
             {"upstream_failures", failures(totals)},
             {"upstream_retries", totals.retries},
             {"runtime", runtime_part(stats.runtime)},
             {"access_log", {{"lines", stats.access_log.lines}, {"dropped", stats.access_log.dropped}}},
             {"process", process(stats.process)},
             {"memory",
              stats.overload.limit_bytes == 0 ? JsonValue(nullptr) : JsonValue(memory(stats.overload))}});
}

std::string to_json(const Stats& stats) {
    return body_of([&](JsonObject& out) { add_stats(out, stats); });
}

std::string to_json(const ClientList& list, WallTime now) {
    const auto one = [now](const ClientFigures& figures) { return client(figures, now); };
    return body_of({{"clients", each(list.clients, one)}, {"total", list.total}});
}

std::string to_json(const BanList& list, WallTime now) {
    const auto one = [now](const BanFigures& figures) { return ban(figures, now); };
    return body_of({{"bans", each(list.bans, one)}, {"total", list.total}});
}

}  // namespace sluice::admin
