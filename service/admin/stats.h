#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "service/admin/process.h"
#include "service/admin/sources.h"

namespace sluice::admin {

/// What the service did until one moment: a value, from which /stats, /metrics and /events are written.
struct Stats {
    std::string version;
    std::string commit;
    bool ready = false;
    runtime::Duration uptime{};
    telemetry::Totals totals;
    OverloadFigures overload;
    ReloadFigures reloads;
    AccessLogFigures access_log;
    std::vector<LimitFigures> limits;
    ClientTableFigures clients;
    BanTotals bans;
    JanitorFigures janitor;
    std::vector<UpstreamFigures> upstreams;
    runtime::Counters runtime;
    ProcessFigures process;
    std::chrono::system_clock::time_point taken_at;
};

/// Asks every source once. Parks.
Stats collect(const Sources& sources);

/// `GET /stats`, indented; README.md, First steps, shows one.
std::string to_json(const Stats& stats);

/// `GET /metrics`: Prometheus's text format, version 0.0.4. The number of series is bounded by the
/// configuration (limits, upstreams) and by HTTP (status codes); clients are never labels.
std::string to_prometheus(const Stats& stats);

/// `GET /stats/clients`. `now` is the wall clock, which `banned_until` is told in (RFC 3339).
std::string to_json(const ClientList& list, std::chrono::system_clock::time_point now);

/// `GET /bans`.
std::string to_json(const BanList& list, std::chrono::system_clock::time_point now);

}  // namespace sluice::admin
