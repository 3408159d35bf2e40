#pragma once

// What the admin listener may see of the running service, and ask of it. Filled in by the app; plain values
// and callbacks, so that neither side knows the other's classes. Each callback is called by a task, or by a
// thread of blocking(), any number at once, and may park; a callback that is empty makes its calls answer
// 501.

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/inspect.h"
#include "runtime/time.h"
#include "service/admin/decisions.h"
#include "service/telemetry/counters.h"

namespace sluice::admin {

struct LimitFigures {
    std::string name;
    std::string algorithm;      // as in the configuration: "token_bucket"
    std::string mode;           // "enforce", "shadow"
    std::string rate;           // "10/s"; empty for a concurrency limit
    std::uint64_t burst = 0;    // 0: has none
    std::uint64_t max = 0;      // concurrency only
    std::uint64_t clients = 0;  // keys tracked under it
    std::uint64_t allowed = 0, limited = 0, delayed = 0, shadow_limited = 0, banned = 0;
};

struct ClientTableFigures {
    std::uint64_t tracked = 0;
    std::uint64_t max = 0;
    std::uint64_t evicted_idle = 0;  // by the janitor
    std::uint64_t evicted_full = 0;  // to make room
    std::uint64_t turned_away = 0;   // decisions on shared buckets, for want of room
    std::uint64_t bytes = 0;
};

struct JanitorFigures {
    std::uint64_t sweeps = 0;
    std::uint64_t removed = 0;
    runtime::Duration last_sweep{};
    runtime::Duration longest_pause{};  // the longest that it kept its worker from other tasks
    runtime::Duration next_in{};
};

struct ServerFigures {
    std::string address;
    bool healthy = true;  // gets requests: neither found unhealthy nor ejected
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
    std::uint64_t in_flight = 0;
    std::uint64_t connections_open = 0;
    std::uint64_t connections_idle = 0;
    unsigned weight = 1;
    bool backup = false;
    std::uint64_t ejections = 0;
    std::uint64_t checks = 0;
    std::uint64_t checks_failed = 0;
    std::optional<runtime::Duration> ejected_for;  // from now; absent: not ejected
};

struct UpstreamFigures {
    std::string name;
    std::vector<ServerFigures> servers;
    std::uint64_t connections_max = 0;
    std::uint64_t connections_used = 0;  // by requests, of those
    std::uint64_t waiting = 0;           // requests in line for one
};

struct ClientFigures {
    std::string key;
    std::string limit;
    std::uint64_t allowed = 0;
    std::uint64_t denied = 0;
    double remaining = 0;
    std::optional<std::uint64_t> in_flight;       // absent: its limit does not count that
    runtime::Duration last_seen{};                // ago
    std::optional<runtime::Duration> banned_for;  // from now; absent: not banned
};

enum class ClientOrder : std::uint8_t { denied, allowed, recent };

struct ClientQuery {
    std::string limit;  // empty: all limits
    std::size_t top = 100;
    ClientOrder order = ClientOrder::denied;
};

struct ClientList {
    std::vector<ClientFigures> clients;
    std::uint64_t total = 0;  // that match, of which `clients` are the first `top`
};

struct BanFigures {
    std::string key;
    std::string limit;  // empty: addresses, shut out whatever they ask for
    bool by_operator = false;
    runtime::Duration since{};  // ago
    runtime::Duration left{};
};

struct BanQuery {
    std::optional<std::string> limit;  // absent: all, and those of addresses
    std::size_t top = 1'000;
};

struct BanList {
    std::vector<BanFigures> bans;
    std::uint64_t total = 0;  // of which `bans` are the newest
};

struct BanTotals {
    std::uint64_t active = 0, made = 0, lifted = 0, expired = 0;
    std::uint64_t no_room = 0;  // not made, for there were as many as there may be
    std::uint64_t bytes = 0;
};

/// Why a call was not done: an HTTP status and a sentence.
struct NotDone {
    unsigned status;
    std::string why;
};

/// Of the container's memory, when it has a limit.
struct OverloadFigures {
    bool overloaded = false;  // new requests are told 503
    std::uint64_t times = 0;  // that it became so
    std::uint64_t used_bytes = 0;
    std::uint64_t limit_bytes = 0;  // 0: none
};

struct AccessLogFigures {
    std::uint64_t lines = 0;
    std::uint64_t dropped = 0;
};

/// How it went with reloads. One that comes during a drain is none.
struct ReloadFigures {
    std::uint64_t reloads = 0;  // in all
    std::uint64_t failed = 0;   // of these
    std::optional<bool> last_ok;
    std::optional<runtime::Duration> last_ago, last_success_ago;
    std::chrono::system_clock::time_point in_force_since{};  // of the last that succeeded, or the start
};

/// What a reload came to: the settings that the file has otherwise and only a restart will change; or, when
/// nothing was changed, why: each rule that was not met, as `sluice check` prints it.
using Reloaded = std::expected<std::vector<std::string>, std::vector<std::string>>;

struct Sources {
    std::string version;
    std::string commit;

    // Figures.
    std::function<bool()> ready;  // neither draining, nor short of memory, nor without a healthy upstream
    std::function<runtime::Duration()> uptime;
    std::function<telemetry::Totals()> totals;
    std::function<OverloadFigures()> overload;
    std::function<ReloadFigures()> reloads;
    std::function<AccessLogFigures()> access_log;
    std::function<std::vector<LimitFigures>()> limits;
    std::function<ClientTableFigures()> client_table;
    std::function<BanTotals()> ban_totals;
    std::function<JanitorFigures()> janitor;
    std::function<std::vector<UpstreamFigures>()> upstreams;
    std::function<runtime::Counters()> runtime_counters;
    std::function<std::string()> dump_tasks;
    // What the workers do for so long, in Chrome's trace format; nullopt: one is under way.
    std::function<std::optional<std::string>(runtime::Duration)> trace;
    std::function<ClientList(const ClientQuery&)> clients;

    // By a key, as listings write it, or an address.
    std::function<ClientList(const std::string& key)> client;  // under every limit; empty: not known
    std::function<ClientList(const std::string& key)> forget;  // what it was
    std::function<std::expected<BanList, NotDone>(const BanQuery&)> bans;
    std::function<std::expected<BanList, NotDone>(const std::string& key, const std::string& duration)> ban;
    std::function<BanList(const std::string& key)> lift;  // what was lifted; empty: not banned
    std::function<std::expected<BanList, NotDone>(const BanQuery&)> lift_all;  // the same

    // Decisions for others.
    Decide check;
    Explain explain;

    // The configuration.
    std::function<std::string()> config;  // in force, as JSON, secrets hidden
    std::function<Reloaded()> reload;     // reads the file again
};

}  // namespace sluice::admin
