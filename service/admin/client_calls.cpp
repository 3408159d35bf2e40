#include "service/admin/client_calls.h"

#include <charconv>
#include <chrono>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/document.h"
#include "config/text.h"
#include "service/admin/stats.h"

namespace sluice::admin {
namespace {

constexpr std::size_t kTopMax = 10'000;
constexpr unsigned kBanDepth = 8;  // of the JSON that says for how long
constexpr std::string_view kUnknown = "no limit knows this client";

std::chrono::system_clock::time_point wall() {
    return std::chrono::system_clock::now();
}

Response client(const Sources& sources, const Request& request) {
    if (!sources.client) return missing("one client");
    const ClientList list = sources.client(request.key);
    return list.clients.empty() ? problem(404, kUnknown) : Response{.body = to_json(list, wall())};
}

Response forget(const Sources& sources, const Request& request) {
    if (!sources.forget) return missing("forgetting a client");
    const ClientList list = sources.forget(request.key);
    return list.clients.empty() ? problem(404, kUnknown) : Response{.body = to_json(list, wall())};
}

Response answer(const std::expected<BanList, NotDone>& list) {
    if (!list) return problem(list.error().status, list.error().why);
    return {.body = to_json(*list, wall())};
}

Response bans(const Sources& sources, const Request& request) {
    if (!sources.bans) return missing("the list of bans");
    const auto top = top_of(request, BanQuery().top);
    if (!top) return problem(400, top.error());
    return answer(sources.bans({.limit = request.parameter("limit"), .top = *top}));
}

/// The `for` of {"for": "10m"}; the error is the answer.
std::expected<std::string, Response> duration_of(std::string_view body) {
    // parse_document() also takes comments, and refuses what is nested deeply.
    if (config::first_bad_byte(body) || !nlohmann::json::accept(body))
        return std::unexpected(problem(400, "the body is not JSON; it is to be such as {\"for\": \"10m\"}"));
    auto json = config::parse_document(body, kBanDepth);
    if (!json || json->members.size() != 1 || json->members[0].key != "for" ||
        json->members[0].value.kind != config::Node::Kind::string)
        return std::unexpected(
            problem(422, "the body is to hold how long, and only that: {\"for\": \"10m\"}"));
    return std::move(json->members[0].value.text);
}

Response ban(const Sources& sources, const Request& request) {
    if (!sources.ban) return missing("banning");
    const auto duration = duration_of(request.body);
    if (!duration) return duration.error();
    return answer(sources.ban(request.key, *duration));
}

Response lift(const Sources& sources, const Request& request) {
    if (!sources.lift) return missing("lifting a ban");
    const BanList lifted = sources.lift(request.key);
    return lifted.bans.empty() ? problem(404, "nobody of this key is banned")
                               : Response{.body = to_json(lifted, wall())};
}

Response lift_all(const Sources& sources, const Request& request) {
    if (!sources.lift_all) return missing("lifting all bans");
    return answer(sources.lift_all({.limit = request.parameter("limit")}));
}

}  // namespace

Response missing(std::string_view what) {
    return problem(501, std::string(what) + " is not offered by this service");
}

std::expected<std::size_t, std::string> top_of(const Request& request, std::size_t otherwise) {
    const auto text = request.parameter("top");
    if (!text) return otherwise;
    std::size_t top = 0;
    const char* const end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, top);
    if (parsed.ec != std::errc() || parsed.ptr != end || top == 0 || top > kTopMax)
        return std::unexpected("top is a number from 1 to " + std::to_string(kTopMax));
    return top;
}

std::vector<Route> client_calls(const Sources& sources) {
    const Sources* const s = &sources;
    const auto heavy = [](std::string_view method, std::string_view path, auto handle,
                          std::vector<std::string_view> parameters = {}) {
        return taking(std::move(parameters),
                      {.method = method, .path = path, .handle = handle, .heavy = true});
    };
    return {
        heavy("GET", "/clients/{key}", [s](const Request& request) { return client(*s, request); }),
        heavy("DELETE", "/clients/{key}", [s](const Request& request) { return forget(*s, request); }),
        heavy("GET", "/bans", [s](const Request& request) { return bans(*s, request); }, {"limit", "top"}),
        heavy("DELETE", "/bans", [s](const Request& request) { return lift_all(*s, request); }, {"limit"}),
        taking({}, {"PUT", "/bans/{key}", [s](const Request& request) { return ban(*s, request); }}),
        taking({}, {"DELETE", "/bans/{key}", [s](const Request& request) { return lift(*s, request); }}),
    };
}

}  // namespace sluice::admin
