#include "service/upstream/upkeep.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <random>
#include <string>

#include "runtime/resolve.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/until_memory.h"
#include "service/upstream/health_check.h"

namespace sluice::upstream {

namespace {

// The first check comes at any moment of the first interval, so that many proxies, started together, do not
// check together for ever.
runtime::Duration jitter(runtime::Duration interval) {
    return interval / 1024 * (std::random_device()() % 1024);
}

void keep_checking(Server& server, const config::Health& settings, telemetry::Log& log,
                   telemetry::Throttle& not_made) {
    CheckCount count(settings, server.standing.healthy());
    runtime::Time next = runtime::now() + jitter(settings.interval);
    for (;; next = std::max(next + settings.interval, runtime::now())) {
        runtime::this_task::sleep_until(next);
        if (runtime::this_task::cancelled()) return;
        const std::optional<std::string> wrong = check_health(server, settings);
        if (runtime::this_task::cancelled()) return;  // which may be what was wrong
        if (!wrong) {
            if (const auto held_back = not_made.permit(runtime::now()))
                log.warn("a health check cannot be made: out of descriptors or memory",
                         {{"upstream", server.upstream()},
                          {"server", server.address()},
                          {"held_back", *held_back}});
            continue;
        }
        server.figures.checks.fetch_add(1, std::memory_order_relaxed);
        if (!wrong->empty()) server.figures.checks_failed.fetch_add(1, std::memory_order_relaxed);
        if (!count.note(wrong->empty())) continue;
        server.standing.set_healthy(count.healthy());
        if (count.healthy())
            log.info("server is healthy again",
                     {{"upstream", server.upstream()}, {"server", server.address()}});
        else
            log.warn("server is not healthy, and gets no requests",
                     {{"upstream", server.upstream()}, {"server", server.address()}, {"reason", *wrong}});
    }
}

void keep_looking_up(Server& server, telemetry::Log& log) {
    server.addresses.keep_looking_up(
        runtime::resolve_patiently, [&](Addresses::News news, std::string_view detail) {
            const std::string_view upstream = server.upstream();
            const std::string_view name = server.address();
            switch (news) {
                case Addresses::News::failed:
                    return log.warn("the server's name cannot be looked up; what was known of it holds",
                                    {{"upstream", upstream}, {"server", name}, {"reason", detail}});
                case Addresses::News::recovered:
                    return log.info("the server's name can be looked up again",
                                    {{"upstream", upstream}, {"server", name}});
                case Addresses::News::moved:
                    return log.info("the server's name stands for other addresses now",
                                    {{"upstream", upstream}, {"server", name}, {"addresses", detail}});
            }
        });
}

}  // namespace

struct Upkeep::Care {
    explicit Care(std::shared_ptr<Server> cared_for) : server(std::move(cared_for)) {}

    std::shared_ptr<Server> server;
    runtime::TaskGroup tasks;  // the last member: waits for what uses the others
};

Upkeep::Upkeep(telemetry::Log& log) : log_(log) {}

Upkeep::~Upkeep() = default;

void Upkeep::follow(const std::vector<std::shared_ptr<Upstream>>& upstreams) {
    std::vector<std::shared_ptr<Server>> wanted;
    for (const auto& upstream : upstreams)
        wanted.insert(wanted.end(), upstream->servers().begin(), upstream->servers().end());
    const std::scoped_lock hold(lock_);
    const auto gone = std::ranges::stable_partition(
        cares_, [&](const auto& care) { return std::ranges::find(wanted, care->server) != wanted.end(); });
    for (const auto& care : gone) {
        care->server->retire();
        care->tasks.cancel();
    }
    cares_.erase(gone.begin(), gone.end());
    cares_.reserve(wanted.size());
    for (auto& server : wanted) {
        if (std::ranges::any_of(cares_, [&](const auto& care) { return care->server == server; })) continue;
        auto care = std::make_unique<Care>(server);
        take(*care);
        cares_.push_back(std::move(care));
    }
}

void Upkeep::take(Care& care) {
    if (care.server->health())
        care.tasks.go([&care, this] {
            runtime::until_memory(
                [&] { keep_checking(*care.server, *care.server->health(), log_, not_made_); });
        });
    if (!care.server->addresses.fixed())
        care.tasks.go([&care, this] { runtime::until_memory([&] { keep_looking_up(*care.server, log_); }); });
}

}  // namespace sluice::upstream
