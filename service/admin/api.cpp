#include "service/admin/api.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <variant>

#include "service/admin/client_calls.h"
#include "service/admin/dashboard.h"
#include "service/admin/decisions.h"
#include "service/admin/events.h"
#include "service/admin/json_body.h"
#include "service/admin/stats.h"

namespace sluice::admin {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::size_t kClientsTop = 100;
constexpr unsigned kTraceSecondsMax = 60;

Response json(std::string body) {
    return {.body = std::move(body)};
}

Response text(std::string body, unsigned status = 200) {
    return {.status = status, .content_type = std::string(kText), .body = std::move(body)};
}

Response ready(const Sources& sources) {
    if (sources.ready && sources.ready()) return text("ready\n");
    return problem(503, "draining, short of memory, or no healthy upstream");
}

// What /stats/clients asks for; a string says what is wrong with it.
std::variant<ClientQuery, std::string> client_query(const Request& request) {
    ClientQuery query;
    query.limit = request.parameter("limit").value_or("");
    const auto top = top_of(request, kClientsTop);
    if (!top) return top.error();
    query.top = *top;
    const std::string order = request.parameter("order").value_or("denied");
    if (order == "denied") {
        query.order = ClientOrder::denied;
    } else if (order == "allowed") {
        query.order = ClientOrder::allowed;
    } else if (order == "recent") {
        query.order = ClientOrder::recent;
    } else {
        return "order is denied, allowed or recent";
    }
    return query;
}

bool has_limit(const Sources& sources, std::string_view name) {
    const std::vector<LimitFigures> limits = sources.limits();
    return std::ranges::find(limits, name, &LimitFigures::name) != limits.end();
}

Response clients(const Sources& sources, const Request& request) {
    if (!sources.clients) return missing("the list of clients");
    const auto query = client_query(request);
    if (const auto* wrong = std::get_if<std::string>(&query)) return problem(400, *wrong);
    const std::string& limit = std::get<ClientQuery>(query).limit;
    if (!limit.empty() && sources.limits && !has_limit(sources, limit))
        return problem(404, "there is no such limit");
    return json(to_json(sources.clients(std::get<ClientQuery>(query)), std::chrono::system_clock::now()));
}

Response trace(const Sources& sources, const Request& request) {
    if (!sources.trace) return missing("a trace");
    unsigned seconds = 1;
    if (const auto text = request.parameter("seconds")) {
        const char* const end = text->data() + text->size();
        const auto parsed = std::from_chars(text->data(), end, seconds);
        if (parsed.ec != std::errc() || parsed.ptr != end || seconds == 0 || seconds > kTraceSecondsMax)
            return problem(400, "seconds is a number from 1 to " + std::to_string(kTraceSecondsMax));
    }
    auto events = sources.trace(std::chrono::seconds(seconds));
    return events ? json(*std::move(events)) : problem(409, "a trace is under way: one at a time");
}

Response reload(const Sources& sources) {
    if (!sources.reload) return missing("a reload");
    const Reloaded reloaded = sources.reload();
    if (!reloaded) return problem(422, "not reloaded; nothing was changed", reloaded.error());
    const auto needs_restart = config::each(*reloaded, std::identity());
    return json(body_of({{"reloaded", true}, {"needs_restart", needs_restart}}));
}

}  // namespace

std::vector<Route> api(const Sources& sources) {
    const Sources* const s = &sources;
    std::vector<Route> routes = {
        {"GET", "/healthz", [](const Request&) { return text("alive\n"); }, true},
        {"GET", "/readyz", [s](const Request&) { return ready(*s); }, true},
        taking({}, {"GET", "/stats", [s](const Request&) { return json(to_json(collect(*s))); }}),
        taking({"limit", "top", "order"},
               {.method = "GET",
                .path = "/stats/clients",
                .handle = [s](const Request& request) { return clients(*s, request); },
                .heavy = true}),
        {"GET", "/metrics",
         [s](const Request&) {
             return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                             .body = to_prometheus(collect(*s))};
         }},
        taking({}, {"GET", "/debug/tasks",
                    [s](const Request&) {
                        return s->dump_tasks ? text(s->dump_tasks()) : missing("the list of tasks");
                    }}),
        taking({"seconds"},
               {"GET", "/debug/trace", [s](const Request& request) { return trace(*s, request); }}),
        taking({}, {"GET", "/config",
                    [s](const Request&) {
                        return s->config ? json(s->config()) : missing("the configuration");
                    }}),
        {.method = "GET", .path = "/", .handle = [](const Request&) { return dashboard(); }, .asks = true},
        {"GET", "/events",
         [events = std::make_shared<Events>(sources)](const Request&) { return events->stream(); }},
        {"GET", "/check", [s](const Request& request) { return check(s->check, request); }},
        taking({"listener", "method", "host", "uri", "ip", "header=NAME:VALUE"},
               {"GET", "/explain", [s](const Request& request) { return explain(s->explain, request); }}),
        taking({}, {"POST", "/reload", [s](const Request&) { return reload(*s); }}),
    };
    std::ranges::move(client_calls(sources), std::back_inserter(routes));
    return routes;
}

}  // namespace sluice::admin
