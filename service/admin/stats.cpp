#include "service/admin/stats.h"

#include <array>

#include "runtime/blocking.h"
#include "service/admin/stats_json.h"
#include "service/telemetry/line_writer.h"

namespace sluice::admin {
namespace {

using telemetry::UpstreamFailure;
using telemetry::Verdict;

double seconds(runtime::Duration d) {
    return std::chrono::duration<double>(d).count();
}

Json requests(const telemetry::Totals& totals) {
    Json by_status = Json::object();
    for (std::size_t i = 0; i < totals.by_status.size(); ++i) {
        if (totals.by_status[i] > 0) by_status[std::to_string(i + totals.kStatusMin)] = totals.by_status[i];
    }
    return {{"total", totals.requests},
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
            {"by_status", std::move(by_status)}};
}

Json latency(const telemetry::Totals& totals) {
    Json all = json_of_quantiles(totals.latency());
    all["forwarded"] = json_of_quantiles(totals.forwarded);
    all["own"] = json_of_quantiles(totals.own);
    return all;
}

Json limits(const std::vector<LimitFigures>& limits) {
    Json list = Json::array();
    for (const LimitFigures& limit : limits) {
        Json entry = {{"name", limit.name}, {"algorithm", limit.algorithm}, {"mode", limit.mode}};
        if (!limit.rate.empty()) entry["rate"] = limit.rate;
        if (limit.burst > 0) entry["burst"] = limit.burst;
        if (limit.max > 0) entry["max"] = limit.max;
        entry.update({{"allowed", limit.allowed},
                      {"limited", limit.limited},
                      {"delayed", limit.delayed},
                      {"shadow_limited", limit.shadow_limited},
                      {"banned", limit.banned},
                      {"clients", limit.clients}});
        list.push_back(std::move(entry));
    }
    return list;
}

Json clients(const ClientTableFigures& table) {
    return {{"tracked", table.tracked},           {"max", table.max},
            {"evicted_idle", table.evicted_idle}, {"evicted_full", table.evicted_full},
            {"turned_away", table.turned_away},   {"bytes", table.bytes}};
}

Json janitor(const JanitorFigures& janitor) {
    return {{"sweeps", janitor.sweeps},
            {"last_sweep_seconds", seconds(janitor.last_sweep)},
            {"longest_pause_seconds", seconds(janitor.longest_pause)},
            {"removed", janitor.removed},
            {"next_in_seconds", seconds(janitor.next_in)}};
}

std::string timestamp(std::chrono::system_clock::time_point when) {
    std::array<char, 32> buffer;
    telemetry::LineWriter out(buffer);
    out.time(when);
    return {buffer.data(), out.size()};
}

Json upstreams(const Stats& stats) {
    Json list = Json::array();
    for (const UpstreamFigures& upstream : stats.upstreams) {
        Json servers = Json::array();
        for (const ServerFigures& server : upstream.servers) {
            servers.push_back(
                {{"address", server.address},
                 {"healthy", server.healthy},
                 {"requests", server.requests},
                 {"failures", server.failures},
                 {"in_flight", server.in_flight},
                 {"connections_open", server.connections_open},
                 {"connections_idle", server.connections_idle},
                 {"weight", server.weight},
                 {"backup", server.backup},
                 {"ejections", server.ejections},
                 {"ejected_until",
                  server.ejected_for ? Json(timestamp(stats.taken_at + *server.ejected_for)) : Json(nullptr)},
                 {"checks", server.checks},
                 {"checks_failed", server.checks_failed}});
        }
        list.push_back({{"name", upstream.name},
                        {"connections_max", upstream.connections_max},
                        {"connections_used", upstream.connections_used},
                        {"waiting", upstream.waiting},
                        {"servers", std::move(servers)}});
    }
    return list;
}

Json failures(const telemetry::Totals& totals) {
    Json kinds = Json::object();
    for (std::size_t i = 1; i < totals.upstream_failures.size(); ++i) {
        const std::uint64_t n = totals.upstream_failures[i];
        if (n > 0) kinds[std::string(telemetry::name(static_cast<UpstreamFailure>(i)))] = n;
    }
    return kinds;
}

Json runtime_part(const runtime::Counters& counters) {
    return {{"workers", counters.workers},
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
             {{"p50", seconds(counters.scheduling_delay.quantile(0.5))},
              {"p99", seconds(counters.scheduling_delay.quantile(0.99))},
              {"p999", seconds(counters.scheduling_delay.quantile(0.999))},
              {"samples", counters.scheduling_delay.count()}}}};
}

Json process(const ProcessFigures& process) {
    return {{"cpu_seconds", process.cpu_seconds}, {"resident_bytes", process.resident_bytes},
            {"heap_bytes", process.heap_bytes},   {"threads", process.threads},
            {"open_fds", process.open_fds},       {"max_fds", process.max_fds}};
}

// A container's memory; without a limit there is nothing to tell.
Json memory(const OverloadFigures& overload) {
    if (overload.limit_bytes == 0) return nullptr;
    return {{"used_bytes", overload.used_bytes},
            {"limit_bytes", overload.limit_bytes},
            {"overloads", overload.times}};
}

// Null before the first reload.
Json reloads(const ReloadFigures& reloads) {
    const auto ago = [](const std::optional<runtime::Duration>& time) {
        return time ? Json(seconds(*time)) : Json(nullptr);
    };
    return {{"reloads", reloads.reloads},
            {"reloads_failed", reloads.failed},
            {"last_reload_ok", reloads.last_ok ? Json(*reloads.last_ok) : Json(nullptr)},
            {"last_reload_seconds_ago", ago(reloads.last_ago)},
            {"last_success_seconds_ago", ago(reloads.last_success_ago)}};
}

template <class Source>
auto ask(const Source& source) {
    return source ? source() : decltype(source()){};
}

}  // namespace

Stats collect(const Sources& sources) {
    return {.version = sources.version,
            .commit = sources.commit,
            .ready = ask(sources.ready),
            .uptime = ask(sources.uptime),
            .totals = ask(sources.totals),
            .overload = ask(sources.overload),
            .reloads = ask(sources.reloads),
            .access_log = ask(sources.access_log),
            .limits = ask(sources.limits),
            .clients = ask(sources.client_table),
            .bans = ask(sources.ban_totals),
            .janitor = ask(sources.janitor),
            .upstreams = ask(sources.upstreams),
            .runtime = ask(sources.runtime_counters),
            .process = runtime::blocking(read_process_figures),
            .taken_at = std::chrono::system_clock::now()};
}

Json json_of(const Stats& stats) {
    const telemetry::Totals& totals = stats.totals;
    return {
        {"version", stats.version},
        {"uptime_seconds", seconds(stats.uptime)},
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
        {"limits", limits(stats.limits)},
        {"clients", clients(stats.clients)},
        {"bans",
         {{"active", stats.bans.active},
          {"made", stats.bans.made},
          {"lifted", stats.bans.lifted},
          {"expired", stats.bans.expired},
          {"no_room", stats.bans.no_room},
          {"bytes", stats.bans.bytes}}},
        {"janitor", janitor(stats.janitor)},
        {"upstreams", upstreams(stats)},
        {"upstream_failures", failures(totals)},
        {"upstream_retries", totals.retries},
        {"runtime", runtime_part(stats.runtime)},
        {"access_log", {{"lines", stats.access_log.lines}, {"dropped", stats.access_log.dropped}}},
        {"process", process(stats.process)},
        {"memory", memory(stats.overload)},
    };
}

Json json_of_quantiles(const telemetry::LatencyHistogram& histogram) {
    return {{"p50", seconds(histogram.quantile(0.5))},
            {"p90", seconds(histogram.quantile(0.9))},
            {"p99", seconds(histogram.quantile(0.99))},
            {"p999", seconds(histogram.quantile(0.999))}};
}

std::string text_of(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_json(const Stats& stats) {
    return text_of(json_of(stats));
}

std::string to_json(const ClientList& list, std::chrono::system_clock::time_point now) {
    Json clients = Json::array();
    for (const ClientFigures& client : list.clients) {
        clients.push_back({{"key", client.key},
                           {"limit", client.limit},
                           {"allowed", client.allowed},
                           {"denied", client.denied},
                           {"remaining", client.remaining},
                           {"last_seen_seconds", seconds(client.last_seen)},
                           {"banned_until",
                            client.banned_for ? Json(timestamp(now + *client.banned_for)) : Json(nullptr)}});
        if (client.in_flight) clients.back()["in_flight"] = *client.in_flight;
    }
    const Json json = {{"clients", std::move(clients)}, {"total", list.total}};
    return text_of(json);
}

std::string to_json(const BanList& list, std::chrono::system_clock::time_point now) {
    Json bans = Json::array();
    for (const BanFigures& ban : list.bans) {
        bans.push_back({{"key", ban.key},
                        {"limit", ban.limit.empty() ? Json(nullptr) : Json(ban.limit)},
                        {"by", ban.by_operator ? "operator" : "limit"},
                        {"since_seconds", seconds(ban.since)},
                        {"left_seconds", seconds(ban.left)},
                        {"banned_until", timestamp(now + ban.left)}});
    }
    return text_of(Json{{"bans", std::move(bans)}, {"total", list.total}});
}

}  // namespace sluice::admin
