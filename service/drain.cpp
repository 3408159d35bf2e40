#include "service/drain.h"

#include <algorithm>

#include "runtime/this_task.h"
#include "service/proxy/connection.h"

namespace sluice {

using namespace std::chrono_literals;

namespace {

constexpr runtime::Duration kLookAgain = 10ms;
constexpr runtime::Duration kLastRequests = 500ms;  // for idle connections, before they are closed
constexpr runtime::Duration kCancelled = 1s;        // for what was cancelled to end

constexpr int kAtOnce = 64;  // connections that are woken: each takes a stack

proxy::Connection& connection(proxy::Registered& one) {
    return static_cast<proxy::Connection&>(one);
}

void rouse_idle(proxy::Registry& registry) {
    for (int woken = kAtOnce; woken == kAtOnce;) {
        woken = 0;
        registry.each_until(
            [&](proxy::Registered& one) { return connection(one).rouse() && ++woken == kAtOnce; });
        runtime::this_task::yield();
    }
}

// Roused again and again: a connection may have decided to doze just before it could have seen that we are
// draining.
bool wait_until_empty(proxy::Registry& registry, const CheckListener& check, runtime::Time deadline,
                      bool rouse) {
    while (registry.open() + check.open() > 0) {
        if (runtime::now() >= deadline) return false;
        if (rouse) rouse_idle(registry);
        runtime::this_task::sleep_for(kLookAgain);
    }
    return true;
}

}  // namespace

bool end_connections(proxy::Context& context, CheckListener& check, runtime::Time began,
                     runtime::Duration drain) {
    proxy::Registry& registry = context.registry;
    const runtime::Duration patience = std::min(kLastRequests, drain / 2);
    if (wait_until_empty(registry, check, runtime::now() + patience, false)) return true;
    if (wait_until_empty(registry, check, began + drain, true)) return true;
    context.telemetry.log.warn("timeouts.drain has passed; cutting what is left",
                               {{"connections", registry.open() + check.open()}});
    registry.each([](proxy::Registered& one) { connection(one).cancel(); });
    check.cancel();
    return wait_until_empty(registry, check, runtime::now() + kCancelled, true);
}

}  // namespace sluice
