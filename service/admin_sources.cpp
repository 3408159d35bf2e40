#include "service/admin_sources.h"

#include <algorithm>

#include "config/duration.h"
#include "config/names.h"
#include "config/to_json.h"
#include "runtime/inspect.h"
#include "runtime/trace.h"
#include "service/commands/build_info.h"
#include "service/decisions.h"
#include "service/limit/nanos.h"
#include "service/policy/ban_list.h"
#include "service/policy/listing.h"
#include "service/task_list.h"

namespace sluice {

namespace {

using limit::nanos;
using telemetry::LimitCounters;

admin::LimitFigures figures_of(const policy::Limit& limit, const limit::ClientTable& clients) {
    const LimitCounters& counters = *limit.account.counters;
    const auto total = [&](LimitCounters::Outcome outcome) { return counters.total(outcome); };
    return {.name = limit.settings.name,
            .algorithm = std::string(config::name_of(limit.settings.algorithm)),
            .mode = std::string(config::name_of(limit.settings.mode)),
            .rate = limit.settings.rate.text,
            .burst = limit.settings.burst,
            .max = limit.settings.max,
            .clients = clients.clients(limit.account.id),
            .allowed = total(LimitCounters::Outcome::allowed),
            .limited = total(LimitCounters::Outcome::limited),
            .delayed = total(LimitCounters::Outcome::delayed),
            .shadow_limited = total(LimitCounters::Outcome::shadow_limited),
            .banned = total(LimitCounters::Outcome::banned)};
}

std::vector<admin::LimitFigures> limits(const proxy::Context& context) {
    std::vector<admin::LimitFigures> all;
    const auto snapshot = context.snapshots.current();
    for (const policy::Limit& limit : snapshot->policy->limits())
        all.push_back(figures_of(limit, context.clients));
    return all;
}

admin::ClientTableFigures client_table(const proxy::Context& context) {
    const limit::ClientTableStats stats = context.clients.stats();
    return {.tracked = stats.tracked,
            .max = stats.max,
            .evicted_idle = stats.evicted_idle,
            .evicted_full = stats.evicted_full,
            .turned_away = stats.shared,
            .bytes = stats.bytes};
}

admin::JanitorFigures janitor(const limit::Janitor& janitor) {
    const limit::Janitor::Stats stats = janitor.stats();
    return {.sweeps = stats.sweeps,
            .removed = stats.removed,
            .last_sweep = stats.last_sweep,
            .longest_pause = stats.longest_pause,
            .next_in = std::max(stats.next - runtime::now(), runtime::Duration::zero())};
}

admin::OverloadFigures overload(const proxy::OverloadGuard& guard) {
    const proxy::OverloadGuard::Figures figures = guard.figures();
    return {.overloaded = figures.overloaded,
            .times = figures.times,
            .used_bytes = figures.use.used,
            .limit_bytes = figures.use.limit};
}

admin::ServerFigures figures_of(const upstream::Upstream& upstream, const upstream::Server& server) {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    const auto at_least_0 = [](std::int64_t n) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0));
    };
    const runtime::Time now = runtime::now();
    const runtime::Time ejected_until = upstream.ejected_until(server);
    return {.address = server.address(),
            .healthy = upstream.in_service(server, now),
            .requests = server.figures.requests.load(kRelaxed),
            .failures = server.figures.failures.load(kRelaxed),
            .in_flight = at_least_0(server.figures.in_flight.load(kRelaxed)),
            .connections_open = at_least_0(server.figures.open.load(kRelaxed)),
            .connections_idle = server.pool.size(),
            .ejections = server.standing.ejections(),
            .checks = server.figures.checks.load(kRelaxed),
            .checks_failed = server.figures.checks_failed.load(kRelaxed),
            .ejected_for = now < ejected_until ? std::optional(ejected_until - now) : std::nullopt};
}

// Neither draining, nor short of memory, nor without an upstream that has a server in service. A service that
// only responds itself needs none.
bool ready(const Observed& service) {
    if (!service.ready.load(std::memory_order_acquire)) return false;
    if (service.context.overloaded.load(std::memory_order_relaxed)) return false;
    const auto& upstreams = service.context.snapshots.current()->upstreams;
    const auto serves = [now = runtime::now()](const auto& upstream) { return upstream->in_service(now); };
    return upstreams.empty() || std::ranges::any_of(upstreams, serves);
}

std::vector<admin::UpstreamFigures> upstreams(const proxy::Context& context) {
    std::vector<admin::UpstreamFigures> all;
    const auto snapshot = context.snapshots.current();
    for (const auto& upstream : snapshot->upstreams) {
        admin::UpstreamFigures& figures = all.emplace_back(upstream->name());
        figures.connections_max = upstream->settings().max_connections;
        figures.connections_used = static_cast<std::uint64_t>(upstream->line().taken());
        figures.waiting = static_cast<std::uint64_t>(upstream->line().waiting());
        const auto& settings = upstream->settings().servers;
        for (std::size_t i = 0; i < settings.size(); ++i) {
            admin::ServerFigures& server =
                figures.servers.emplace_back(figures_of(*upstream, *upstream->servers()[i]));
            server.weight = settings[i].weight;
            server.backup = settings[i].backup;
        }
    }
    return all;
}

admin::BanTotals ban_totals(const proxy::Context& context) {
    const limit::BanStats stats = context.clients.bans().stats();
    return {.active = stats.active,
            .made = stats.made,
            .lifted = stats.lifted,
            .expired = stats.expired,
            .no_room = stats.no_room,
            .bytes = stats.bytes};
}

policy::ListOrder order_of(admin::ClientOrder order) {
    switch (order) {
        case admin::ClientOrder::denied: return policy::ListOrder::denied;
        case admin::ClientOrder::allowed: return policy::ListOrder::allowed;
        case admin::ClientOrder::recent: return policy::ListOrder::recent;
    }
    return policy::ListOrder::denied;
}

admin::ClientFigures figures_of(const policy::ListedClient& client, const limit::Bans& bans,
                                limit::Nanos now) {
    const limit::Nanos until = policy::banned_until(bans, *client.limit, client.record.key, now);
    return {.key = client.key(),
            .limit = client.limit->settings.name,
            .allowed = client.record.allowed,
            .denied = client.record.denied,
            .remaining = static_cast<double>(client.remaining),
            .in_flight = client.in_flight(),
            .last_seen = std::chrono::seconds(client.unseen_seconds),
            .banned_for = until > now ? std::optional(runtime::Duration(until - now)) : std::nullopt};
}

admin::ClientList list_of(const std::vector<policy::ListedClient>& clients, std::uint64_t total,
                          const limit::Bans& bans, limit::Nanos now) {
    admin::ClientList list{.clients = {}, .total = total};
    for (const policy::ListedClient& client : clients) list.clients.push_back(figures_of(client, bans, now));
    return list;
}

admin::ClientList clients(const proxy::Context& context, const admin::ClientQuery& query) {
    const auto snapshot = context.snapshots.current();
    const limit::Nanos now = nanos(runtime::now());
    const policy::Listing listing = policy::list_clients(*snapshot->policy, context.clients, query.limit,
                                                         query.top, order_of(query.order), now);
    return list_of(listing.clients, listing.total, context.clients.bans(), now);
}

admin::ClientList client(const proxy::Context& context, const std::string& key) {
    const auto snapshot = context.snapshots.current();
    const limit::Nanos now = nanos(runtime::now());
    const auto found = policy::find_clients(*snapshot->policy, context.clients, key, now);
    return list_of(found, found.size(), context.clients.bans(), now);
}

admin::ClientList forget(const proxy::Context& context, const std::string& key) {
    const auto snapshot = context.snapshots.current();
    const limit::Nanos now = nanos(runtime::now());
    const auto forgotten = policy::forget_clients(*snapshot->policy, context.clients, key, now);
    if (!forgotten.empty())
        context.telemetry.log.info("client forgotten by an operator",
                                   {{"key", key}, {"limits", forgotten.size()}});
    return list_of(forgotten, forgotten.size(), context.clients.bans(), now);
}

admin::BanList list_of(const std::vector<policy::ListedBan>& bans, std::uint64_t total, limit::Nanos now) {
    admin::BanList list{.bans = {}, .total = total};
    for (const policy::ListedBan& each : bans)
        list.bans.push_back({.key = each.key(),
                             .limit = each.limit ? each.limit->settings.name : "",
                             .by_operator = each.ban.by_operator,
                             .since = runtime::Duration(now - each.ban.since),
                             .left = runtime::Duration(each.ban.until - now)});
    return list;
}

/// Null: all are asked for.
std::expected<const policy::Limit*, admin::NotDone> limit_of(const admin::BanQuery& query,
                                                             const policy::Policy& policy) {
    if (!query.limit) return nullptr;
    for (const policy::Limit& limit : policy.limits())
        if (limit.settings.name == *query.limit) return &limit;
    return std::unexpected(admin::NotDone{404, "there is no such limit"});
}

std::expected<admin::BanList, admin::NotDone> bans(const proxy::Context& context,
                                                   const admin::BanQuery& query) {
    const auto snapshot = context.snapshots.current();
    const auto limit = limit_of(query, *snapshot->policy);
    if (!limit) return std::unexpected(limit.error());
    const limit::Nanos now = nanos(runtime::now());
    const policy::BanListing listing =
        policy::list_bans(*snapshot->policy, context.clients.bans(), query.top, now, *limit);
    return list_of(listing.bans, listing.total, now);
}

std::expected<admin::BanList, admin::NotDone> ban(const proxy::Context& context, const std::string& key,
                                                  const std::string& duration) {
    const auto time = config::parse_duration(duration);
    if (!time) return std::unexpected(admin::NotDone{422, "for: " + time.error()});
    const auto snapshot = context.snapshots.current();
    const limit::Nanos now = nanos(runtime::now());
    const limit::Prefixes prefixes{static_cast<std::uint8_t>(snapshot->config.client.ipv4_prefix),
                                   static_cast<std::uint8_t>(snapshot->config.client.ipv6_prefix)};
    const auto made =
        policy::ban_key(*snapshot->policy, context.clients.bans(), prefixes, key, time->count(), now);
    if (!made && made.error() == policy::NotBanned::no_room)
        return std::unexpected(admin::NotDone{503, "there are as many bans as there may be"});
    if (!made)
        return std::unexpected(admin::NotDone{
            404, "this is neither an address, with a prefix or without, nor a key of a limit"});
    for (const policy::ListedBan& each : *made)
        context.telemetry.log.info("banned by an operator", {{"key", each.key()}, {"for", duration}});
    return list_of(*made, made->size(), now);
}

admin::BanList lift(const proxy::Context& context, const std::string& key) {
    const auto snapshot = context.snapshots.current();
    const limit::Nanos now = nanos(runtime::now());
    const auto lifted = policy::lift_bans(*snapshot->policy, context.clients.bans(), key, now);
    for (const policy::ListedBan& each : lifted)
        context.telemetry.log.info("ban lifted by an operator", {{"key", each.key()}});
    return list_of(lifted, lifted.size(), now);
}

std::expected<admin::BanList, admin::NotDone> lift_all(const proxy::Context& context,
                                                       const admin::BanQuery& query) {
    const auto snapshot = context.snapshots.current();
    const auto limit = limit_of(query, *snapshot->policy);
    if (!limit) return std::unexpected(limit.error());
    const limit::Nanos now = nanos(runtime::now());
    const policy::BanListing lifted =
        policy::lift_all_bans(*snapshot->policy, context.clients.bans(), *limit, query.top, now);
    context.telemetry.log.info("all bans lifted by an operator",
                               {{"limit", query.limit.value_or("any")}, {"bans", lifted.total}});
    return list_of(lifted.bans, lifted.total, now);
}

}  // namespace

admin::Sources admin_sources(const Observed& service, std::function<admin::Reloaded()> reload) {
    const commands::BuildInfo build = commands::build_info();
    return {.version = build.version,
            .commit = build.commit,
            .ready = [service] { return ready(service); },
            .uptime = [service] { return runtime::now() - service.started; },
            .totals = [service] { return service.context.telemetry.counters.totals(); },
            .overload = [service] { return overload(service.guard); },
            .reloads = [service] { return service.reloads.figures(runtime::now()); },
            .access_log = [service]() -> admin::AccessLogFigures {
                const telemetry::AccessLog& log = service.context.telemetry.access;
                return {.lines = log.lines(), .dropped = log.dropped()};
            },
            .limits = [service] { return limits(service.context); },
            .client_table = [service] { return client_table(service.context); },
            .ban_totals = [service] { return ban_totals(service.context); },
            .janitor = [service] { return janitor(service.janitor); },
            .upstreams = [service] { return upstreams(service.context); },
            .runtime_counters = [service] { return runtime::counters(service.scheduler); },
            .dump_tasks = [service] { return list_tasks(service.scheduler); },
            .trace = [service](runtime::Duration time) { return runtime::trace(service.scheduler, time); },
            .clients = [service](const admin::ClientQuery& query) { return clients(service.context, query); },
            .client = [service](const std::string& key) { return client(service.context, key); },
            .forget = [service](const std::string& key) { return forget(service.context, key); },
            .bans = [service](const admin::BanQuery& query) { return bans(service.context, query); },
            .ban = [service](const std::string& key,
                             const std::string& time) { return ban(service.context, key, time); },
            .lift = [service](const std::string& key) { return lift(service.context, key); },
            .lift_all = [service](const admin::BanQuery& query) { return lift_all(service.context, query); },
            .check = [service](const admin::Question& asked) { return check(service.context, asked); },
            .explain = [service](const admin::Question& asked) { return explain(service.context, asked); },
            .config = [service] { return config::to_json(service.context.snapshots.current()->config); },
            .reload = std::move(reload)};
}

}  // namespace sluice
