#include <charconv>
#include <initializer_list>
#include <string_view>
#include <type_traits>

#include "service/admin/stats.h"

namespace sluice::admin {
namespace {

using namespace std::chrono_literals;
using telemetry::LimitCounters;

struct Label {
    std::string_view name;
    std::string_view value;
};
using Labels = std::initializer_list<Label>;

// Prometheus's text exposition format, version 0.0.4: families in turn, each announced once, then its
// samples.
class Exposition {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        text_.append("# HELP ")
            .append(name)
            .append(" ")
            .append(help)
            .append("\n# TYPE ")
            .append(name)
            .append(" ");
        text_.append(type).append("\n");
    }

    template <class Number>
    void sample(Number value, Labels labels = {}, std::string_view suffix = "") {
        text_.append(name_).append(suffix);
        char separator = '{';
        for (const Label& label : labels) {
            text_ += separator;
            text_.append(label.name).append("=\"");
            append_escaped(label.value);
            text_ += '"';
            separator = ',';
        }
        if (separator == ',') text_ += '}';
        text_ += ' ';
        append_number(value);
        text_ += '\n';
    }

    template <class Number>
    void only(std::string_view name, std::string_view type, std::string_view help, Number value) {
        family(name, type, help);
        sample(value);
    }

    std::string take() { return std::move(text_); }

  private:
    void append_escaped(std::string_view value) {
        for (const char c : value) {
            switch (c) {
                case '\\': text_ += "\\\\"; break;
                case '"': text_ += "\\\""; break;
                case '\n': text_ += "\\n"; break;
                default: text_ += c;
            }
        }
    }

    template <class Number>
    void append_number(Number value) {
        char buffer[32];
        if constexpr (std::is_same_v<Number, bool>) {
            text_ += value ? '1' : '0';
        } else {
            text_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
        }
    }

    std::string text_;
    std::string_view name_;
};

double seconds(runtime::Duration d) {
    return std::chrono::duration<double>(d).count();
}

void write_service(Exposition& out, const Stats& stats) {
    out.family("sluice_build_info", "gauge", "The version that runs; always 1.");
    out.sample(1, {{"version", stats.version}, {"commit", stats.commit}});
    out.only("sluice_ready", "gauge",
             "Whether it takes requests: neither draining nor short of memory nor without a "
             "healthy upstream.",
             stats.ready);
    out.only("sluice_overloaded", "gauge", "Whether new requests are told 503 because memory is short.",
             stats.overload.overloaded);
    out.only("sluice_requests_shed_total", "counter", "Requests told 503 because memory was short.",
             stats.totals.shed);
    if (stats.overload.limit_bytes > 0) {
        out.only("sluice_memory_used_bytes", "gauge",
                 "Memory of the container, inactive file cache excluded.", stats.overload.used_bytes);
        out.only("sluice_memory_limit_bytes", "gauge", "What the container may use.",
                 stats.overload.limit_bytes);
    }
    const ReloadFigures& reloads = stats.reloads;
    out.family("sluice_config_reloads_total", "counter", "Reloads of the configuration, by how they ended.");
    out.sample(reloads.reloads - reloads.failed, {{"outcome", "ok"}});
    out.sample(reloads.failed, {{"outcome", "failed"}});
    out.only("sluice_config_last_reload_successful", "gauge",
             "Whether the last reload came into force; 1 before there was any.",
             reloads.last_ok.value_or(true));
    out.only("sluice_config_last_reload_success_timestamp_seconds", "gauge",
             "When the last reload came into force, or else the service started, since the epoch.",
             seconds(reloads.in_force_since.time_since_epoch()));
    out.only("sluice_uptime_seconds", "gauge", "Seconds since the process started.", seconds(stats.uptime));
    const auto& totals = stats.totals;
    out.only("sluice_connections_open", "gauge", "Client connections that are open.",
             totals.connections_open());
    out.only("sluice_connections_accepted_total", "counter", "Client connections that were served.",
             totals.connections_accepted);
    out.only("sluice_connections_refused_total", "counter", "Client connections that were turned away.",
             totals.connections_refused);
    out.family("sluice_tls_handshakes_total", "counter", "TLS handshakes with clients, by how they ended.");
    out.sample(totals.handshakes_done, {{"outcome", "done"}});
    out.sample(totals.handshakes_failed, {{"outcome", "failed"}});
    out.only("sluice_tunnels_open", "gauge", "Client connections that changed to another protocol.",
             totals.tunnels_open());
    out.only("sluice_tunnels_total", "counter",
             "Client connections that changed to another protocol, in all.", totals.tunnels_opened);
}

void write_requests(Exposition& out, const Stats& stats) {
    const auto& totals = stats.totals;
    out.family("sluice_requests_total", "counter",
               "What each limit said to the requests that it applied to. One request may be told by several "
               "limits.");
    for (const LimitFigures& limit : stats.limits) {
        const auto told = [&](LimitCounters::Outcome outcome, std::uint64_t n) {
            out.sample(n, {{"limit", limit.name}, {"outcome", name(outcome)}});
        };
        told(LimitCounters::Outcome::allowed, limit.allowed);
        told(LimitCounters::Outcome::limited, limit.limited);
        told(LimitCounters::Outcome::delayed, limit.delayed);
        told(LimitCounters::Outcome::shadow_limited, limit.shadow_limited);
        told(LimitCounters::Outcome::banned, limit.banned);
    }
    out.family("sluice_verdicts_total", "counter", "Requests by what became of them, each counted once.");
    for (std::size_t i = 0; i < totals.by_verdict.size(); ++i) {
        out.sample(totals.by_verdict[i], {{"verdict", telemetry::name(static_cast<telemetry::Verdict>(i))}});
    }
    out.only("sluice_requests_in_flight", "gauge", "Requests that have begun and not ended.",
             totals.in_flight());
    out.family("sluice_responses_total", "counter", "Requests by the status that the client was sent.");
    for (std::size_t i = 0; i < totals.by_status.size(); ++i) {
        if (totals.by_status[i] == 0) continue;
        out.sample(totals.by_status[i], {{"code", std::to_string(i + totals.kStatusMin)}});
    }
    out.only("sluice_client_aborts_total", "counter",
             "Requests whose client left before its answer was complete.", totals.client_aborted);
    out.only("sluice_request_body_bytes_total", "counter", "Body bytes from clients.", totals.bytes_in);
    out.only("sluice_response_body_bytes_total", "counter", "Body bytes to clients.", totals.bytes_out);
}

void write_histogram(Exposition& out, const telemetry::LatencyHistogram& histogram) {
    static constexpr std::pair<std::chrono::microseconds, std::string_view> kBounds[] = {
        {10us, "1e-05"},   {25us, "2.5e-05"}, {50us, "5e-05"},    {100us, "0.0001"}, {250us, "0.00025"},
        {500us, "0.0005"}, {1ms, "0.001"},    {2500us, "0.0025"}, {5ms, "0.005"},    {10ms, "0.01"},
        {25ms, "0.025"},   {50ms, "0.05"},    {100ms, "0.1"},     {250ms, "0.25"},   {500ms, "0.5"},
        {1s, "1"},         {2500ms, "2.5"},   {5s, "5"},          {10s, "10"},       {30s, "30"},
        {60s, "60"}};
    for (const auto& [bound, text] : kBounds)
        out.sample(histogram.count_up_to(bound), {{"le", text}}, "_bucket");
    out.sample(histogram.count(), {{"le", "+Inf"}}, "_bucket");
    out.sample(seconds(histogram.sum()), {}, "_sum");
    out.sample(histogram.count(), {}, "_count");
}

void write_latency(Exposition& out, const Stats& stats) {
    out.family("sluice_request_duration_seconds", "histogram",
               "From the first byte of a request to the last of its answer, whoever answered.");
    write_histogram(out, stats.totals.latency());
    out.family("sluice_upstream_request_duration_seconds", "histogram",
               "The same, of the requests that an upstream answered, or should have.");
    write_histogram(out, stats.totals.forwarded);
}

void write_upstreams(Exposition& out, const Stats& stats) {
    const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto member) {
        out.family(name, type, help);
        for (const UpstreamFigures& upstream : stats.upstreams) {
            for (const ServerFigures& server : upstream.servers) {
                out.sample(server.*member, {{"upstream", upstream.name}, {"server", server.address}});
            }
        }
    };
    each("sluice_upstream_healthy", "gauge", "Whether the server is sent requests.", &ServerFigures::healthy);
    out.family("sluice_upstream_ejected", "gauge",
               "Whether the server is out for failing too often in a row.");
    for (const UpstreamFigures& upstream : stats.upstreams)
        for (const ServerFigures& server : upstream.servers)
            out.sample(server.ejected_for.has_value(),
                       {{"upstream", upstream.name}, {"server", server.address}});
    each("sluice_upstream_ejections_total", "counter",
         "Times that the server was put out for failing too often in a row.", &ServerFigures::ejections);
    each("sluice_upstream_checks_total", "counter", "Health checks of the server.", &ServerFigures::checks);
    each("sluice_upstream_checks_failed_total", "counter", "Health checks that the server did not pass.",
         &ServerFigures::checks_failed);
    each("sluice_upstream_requests_total", "counter", "Requests sent to the server.",
         &ServerFigures::requests);
    each("sluice_upstream_failures_total", "counter", "Requests that the server failed.",
         &ServerFigures::failures);
    each("sluice_upstream_in_flight", "gauge", "Requests at the server now.", &ServerFigures::in_flight);
    each("sluice_upstream_connections_open", "gauge", "Connections to the server.",
         &ServerFigures::connections_open);
    each("sluice_upstream_connections_idle", "gauge", "Connections to the server that wait for a request.",
         &ServerFigures::connections_idle);
    const auto whole = [&](std::string_view name, std::string_view help, auto member) {
        out.family(name, "gauge", help);
        for (const UpstreamFigures& upstream : stats.upstreams)
            out.sample(upstream.*member, {{"upstream", upstream.name}});
    };
    whole("sluice_upstream_connections_used", "Connections of the upstream that requests have.",
          &UpstreamFigures::connections_used);
    whole("sluice_upstream_connections_max", "Connections that the upstream may have at once.",
          &UpstreamFigures::connections_max);
    whole("sluice_upstream_waiting", "Requests in line for a connection.", &UpstreamFigures::waiting);
    out.family("sluice_upstream_errors_total", "counter", "Requests that an upstream failed, by how.");
    for (std::size_t i = 1; i < stats.totals.upstream_failures.size(); ++i) {
        const auto kind = telemetry::name(static_cast<telemetry::UpstreamFailure>(i));
        out.sample(stats.totals.upstream_failures[i], {{"kind", kind}});
    }
    out.only("sluice_upstream_retries_total", "counter", "Attempts beyond a request's first.",
             stats.totals.retries);
}

void write_clients(Exposition& out, const Stats& stats) {
    out.only("sluice_clients", "gauge", "Entries in the table of clients.", stats.clients.tracked);
    out.only("sluice_clients_max", "gauge", "Entries that the table may hold.", stats.clients.max);
    out.only("sluice_clients_bytes", "gauge", "Memory of the table.", stats.clients.bytes);
    out.family("sluice_clients_evicted_total", "counter",
               "Entries removed: idle and owing nothing, or for room.");
    out.sample(stats.clients.evicted_idle, {{"reason", "idle"}});
    out.sample(stats.clients.evicted_full, {{"reason", "full"}});
    out.only("sluice_clients_turned_away_total", "counter",
             "Decisions on keys that found no room in the table, made on a bucket that they share.",
             stats.clients.turned_away);
    out.only("sluice_bans", "gauge", "Keys and networks that are shut out.", stats.bans.active);
    out.only("sluice_bans_bytes", "gauge", "Memory of bans and of the refusals that may lead to one.",
             stats.bans.bytes);
    out.family("sluice_bans_total", "counter",
               "What became of bans; no_room: was not made, for there were as many as there may be.");
    out.sample(stats.bans.made, {{"event", "made"}});
    out.sample(stats.bans.lifted, {{"event", "lifted"}});
    out.sample(stats.bans.expired, {{"event", "expired"}});
    out.sample(stats.bans.no_room, {{"event", "no_room"}});
    out.family("sluice_limit_clients", "gauge", "Keys that each limit keeps track of.");
    for (const LimitFigures& limit : stats.limits) out.sample(limit.clients, {{"limit", limit.name}});
    const JanitorFigures& janitor = stats.janitor;
    out.only("sluice_janitor_sweeps_total", "counter", "Sweeps over the table of clients.", janitor.sweeps);
    out.only("sluice_janitor_removed_total", "counter", "Entries that the sweeps removed.", janitor.removed);
    out.only("sluice_janitor_last_sweep_seconds", "gauge", "How long the last sweep took.",
             seconds(janitor.last_sweep));
    out.only("sluice_janitor_longest_pause_seconds", "gauge", "The longest that a sweep kept its worker.",
             seconds(janitor.longest_pause));
    out.only("sluice_janitor_next_in_seconds", "gauge", "Until the next sweep.", seconds(janitor.next_in));
}

void write_delays(Exposition& out, const runtime::Delays& delays) {
    out.family("sluice_runtime_scheduling_delay_seconds", "histogram",
               "From a task's wake to its first instruction, of one wake in some hundred.");
    std::uint64_t up_to = 0;
    for (std::size_t i = 0; i < runtime::kDelayBounds.size(); ++i) {
        char text[32];
        const char* const end =
            std::to_chars(text, text + sizeof text, seconds(runtime::kDelayBounds[i])).ptr;
        up_to += delays.counts[i];
        out.sample(up_to, {{"le", {text, end}}}, "_bucket");
    }
    out.sample(delays.count(), {{"le", "+Inf"}}, "_bucket");
    out.sample(seconds(delays.sum), {}, "_sum");
    out.sample(delays.count(), {}, "_count");
}

void write_runtime(Exposition& out, const Stats& stats) {
    const runtime::Counters& r = stats.runtime;
    out.only("sluice_runtime_workers", "gauge", "Threads that run tasks.", r.workers);
    out.only("sluice_runtime_active_workers", "gauge",
             "Of these, those that the CPUs at hand are enough for.", r.active_workers);
    out.only("sluice_runtime_tasks", "gauge", "Tasks that have not ended.", r.live);
    out.only("sluice_runtime_tasks_peak", "gauge", "The most tasks at a time.", r.peak);
    out.only("sluice_runtime_tasks_spawned_total", "counter", "Tasks started.", r.spawned);
    out.only("sluice_runtime_steals_total", "counter", "Times that a worker took work from another.",
             r.steals);
    out.only("sluice_runtime_parks_total", "counter", "Times that a task waited.", r.parks);
    out.only("sluice_runtime_switches_total", "counter", "Times that a worker switched to a task.",
             r.switches);
    out.only("sluice_runtime_polls_total", "counter", "Times that a worker asked the kernel for events.",
             r.polls);
    out.only("sluice_runtime_stale_workers_total", "counter",
             "Times that a task held its worker up for 10 ms or more.", r.stale_workers);
    out.only("sluice_runtime_uncaught_exceptions_total", "counter", "Exceptions that left a task.",
             r.uncaught);
    out.only("sluice_runtime_blocking_jobs_total", "counter", "Calls that really block.", r.blocking_jobs);
    out.only("sluice_runtime_stack_bytes", "gauge", "Virtual memory of the stacks.", r.stack_bytes);
    write_delays(out, r.scheduling_delay);
    out.only("sluice_access_log_lines_total", "counter", "Lines of the access log.", stats.access_log.lines);
    out.only("sluice_access_log_dropped_total", "counter", "Lines dropped because their reader was too slow.",
             stats.access_log.dropped);
}

void write_process(Exposition& out, const Stats& stats) {
    const ProcessFigures& p = stats.process;
    out.only("process_cpu_seconds_total", "counter", "CPU time, user and system.", p.cpu_seconds);
    out.only("process_resident_memory_bytes", "gauge", "Memory in use.", p.resident_bytes);
    out.only("process_heap_bytes", "gauge", "Memory that is allocated and not freed.", p.heap_bytes);
    out.only("process_virtual_memory_bytes", "gauge", "Address space in use.", p.virtual_bytes);
    out.only("process_start_time_seconds", "gauge", "When it started, since the epoch.",
             p.start_time_seconds);
    out.only("process_open_fds", "gauge", "Open descriptors.", p.open_fds);
    out.only("process_max_fds", "gauge", "Descriptors that may be open.", p.max_fds);
    out.only("process_threads", "gauge", "Threads.", p.threads);
}

}  // namespace

std::string to_prometheus(const Stats& stats) {
    Exposition out;
    write_service(out, stats);
    write_requests(out, stats);
    write_latency(out, stats);
    write_upstreams(out, stats);
    write_clients(out, stats);
    write_runtime(out, stats);
    write_process(out, stats);
    return out.take();
}

}  // namespace sluice::admin
