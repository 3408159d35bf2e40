#include "service/admin/events.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "service/admin/stats_json.h"

namespace sluice::admin {
namespace {

constexpr auto kEvery = std::chrono::seconds(1);

double seconds(runtime::Duration d) {
    return std::chrono::duration<double>(d).count();
}

std::string event(const Stats& stats, const Stats* before) {
    Json json = json_of(stats);
    if (before) {
        const auto& now = stats.totals;
        const auto& then = before->totals;
        json["window"] = {{"seconds", seconds(stats.uptime - before->uptime)},
                          {"latency_seconds",
                           {{"forwarded", json_of_quantiles(now.forwarded.since(then.forwarded))},
                            {"own", json_of_quantiles(now.own.since(then.own))}}}};
    }
    return "event: stats\ndata: " + text_of(json, -1) + "\n";
}

}  // namespace

Response events(const Sources& sources) {
    const auto stream = [s = &sources](const Stream& client) {
        std::unique_ptr<Stats> before;  // 15 KB: not on the stack
        bool here = client.send("retry: 1000\n\n");
        for (runtime::Time next = runtime::now(); here; here = client.wait_until(next += kEvery)) {
            auto stats = std::make_unique<Stats>(collect(*s));
            if (!client.send(event(*stats, before.get()))) return;
            before = std::move(stats);
            next = std::max(next, runtime::now() - kEvery);  // after a stall: no burst to catch up
        }
    };
    return {.content_type = "text/event-stream", .stream = stream};
}

}  // namespace sluice::admin
