#include "service/admin/events.h"

#include <chrono>
#include <mutex>
#include <utility>

#include "service/admin/stats_json.h"

namespace sluice::admin {
namespace {

using config::JsonObject;

constexpr auto kEvery = std::chrono::seconds(1);
// Nobody has listened for so long: what happened since then is no window of what happens now.
constexpr auto kPause = std::chrono::seconds(5);

std::string event(const Stats& stats, const Stats* before) {
    const auto window = [&](JsonObject& out) {
        const auto& now = stats.totals;
        const auto& then = before->totals;
        const auto forwarded = [&](JsonObject& to) {
            add_quantiles(to, now.forwarded.since(then.forwarded));
        };
        const auto own = [&](JsonObject& to) { add_quantiles(to, now.own.since(then.own)); };
        out.add({{"seconds", stats.uptime - before->uptime},
                 {"latency_seconds", {{"forwarded", forwarded}, {"own", own}}}});
    };
    const auto all = [&](JsonObject& out) {
        add_stats(out, stats);
        if (before) out.add("window", window);
    };
    return "event: stats\ndata: " + config::json_text(all, config::JsonForm::one_line) + "\n\n";
}

}  // namespace

Events::Events(const Sources& sources) : sources_(sources) {}
Events::~Events() = default;

Response Events::stream() {
    return {.content_type = "text/event-stream", .stream = [this](const Stream& client) { send_to(client); }};
}

void Events::send_to(const Stream& client) {
    if (!client.send("retry: 1000\n\n")) return;
    for (EventPtr event = after(nullptr); client.send(event->text); event = after(event))
        if (!client.wait_until(event->made + kEvery)) return;
}

// Of all whose second is over at the same moment the first makes the next.
Events::EventPtr Events::after(const EventPtr& last) {
    const std::scoped_lock hold(lock_);
    const runtime::Time now = runtime::now();
    if (newest_ && newest_ != last && now < newest_->made + kEvery) return newest_;
    auto figures = std::make_unique<Stats>(collect(sources_));
    const bool follows = newest_ && now < newest_->made + kPause;
    newest_ = std::make_shared<const Event>(now, event(*figures, follows ? figures_.get() : nullptr));
    figures_ = std::move(figures);
    return newest_;
}

}  // namespace sluice::admin
