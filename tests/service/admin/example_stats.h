#pragma once

#include "service/admin/stats.h"

namespace sluice::admin {

/// A service that has done a bit of everything.
inline Stats example_stats() {
    using namespace std::chrono_literals;
    using telemetry::Verdict;
    Stats stats;
    stats.version = "0.1.0";
    stats.commit = "abc123";
    stats.ready = true;
    stats.uptime = 12'300ms;
    telemetry::Counters counters(1);
    for (int i = 0; i < 3; ++i) counters.connection_accepted();
    counters.connection_closed();
    counters.connection_refused();
    for (int i = 0; i < 2; ++i) counters.handshake_failed();
    for (int i = 0; i < 121; ++i) counters.request_started();
    for (int i = 0; i < 100; ++i) {
        counters.account({.verdict = Verdict::allowed,
                          .status = 200,
                          .bytes_out = 10,
                          .duration = 2ms,
                          .upstream = "app"});
    }
    for (int i = 0; i < 20; ++i)
        counters.account({.verdict = Verdict::limited, .status = 429, .duration = 20us});
    stats.totals = counters.totals();
    stats.reloads = {.reloads = 5,
                     .failed = 2,
                     .last_ok = false,
                     .last_ago = 1500ms,
                     .last_success_ago = 60s,
                     .in_force_since = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 500ms};
    stats.access_log = {.lines = 119, .dropped = 1};
    stats.limits = {{.name = "per-ip",
                     .algorithm = "token_bucket",
                     .mode = "enforce",
                     .rate = "10/s",
                     .burst = 20,
                     .clients = 4,
                     .allowed = 100,
                     .limited = 20},
                    {.name = "odd \"name\"\\\n",
                     .algorithm = "concurrency",
                     .mode = "shadow",
                     .max = 8,
                     .shadow_limited = 7}};
    stats.clients = {.tracked = 4,
                     .max = 1'000'000,
                     .evicted_idle = 2,
                     .evicted_full = 3,
                     .turned_away = 1,
                     .bytes = 4096};
    stats.janitor = {.sweeps = 1, .removed = 2, .last_sweep = 10us, .longest_pause = 2us, .next_in = 42s};
    stats.upstreams = {{"default",
                        {{.address = "127.0.0.1:3000",
                          .requests = 100,
                          .in_flight = 1,
                          .connections_open = 2,
                          .connections_idle = 1},
                         {.address = "127.0.0.1:3001",
                          .healthy = false,
                          .failures = 5,
                          .weight = 3,
                          .backup = true,
                          .ejections = 2,
                          .checks = 9,
                          .checks_failed = 4,
                          .ejected_for = 1500ms}}}};
    stats.taken_at = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 18h;
    stats.runtime = {
        .workers = 2, .live = 9, .spawned = 140, .peak = 12, .steals = 3, .parks = 1, .stack_bytes = 73728};
    stats.runtime.scheduling_delay.counts[2] = 99;  // up to 5 µs
    stats.runtime.scheduling_delay.counts[9] = 1;   // up to 1 ms
    stats.runtime.scheduling_delay.sum = 1ms;
    stats.runtime.stale_workers = 3;
    stats.process = {.cpu_seconds = 0.25, .resident_bytes = 9'000'000, .open_fds = 17, .max_fds = 1024};
    return stats;
}

}  // namespace sluice::admin
