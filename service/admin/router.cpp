#include "service/admin/router.h"

#include <algorithm>

namespace sluice::admin {
namespace {

constexpr std::string_view kKey = "{key}";

// What {key} stands for, or an empty view of `path` when there is none in the pattern; nullopt: another path.
std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
    if (!pattern.ends_with(kKey))
        return pattern == path ? std::optional(path.substr(path.size())) : std::nullopt;
    pattern.remove_suffix(kKey.size());
    if (!path.starts_with(pattern) || path.size() == pattern.size()) return std::nullopt;
    return path.substr(pattern.size());
}

}  // namespace

Router::Match Router::match(Request& request) const {
    const std::string_view method = request.method == "HEAD" ? "GET" : request.method;
    std::string allow;
    for (const Route& route : routes_) {
        const auto key = match_path(route.path, request.path);
        if (!key) continue;
        if (route.method == method || route.method == Route::kAnyMethod) {
            if (route.parameters)
                if (const auto wrong = request.wrong_parameter(*route.parameters))
                    return {nullptr, problem(400, *wrong)};
            request.key = *key;
            return {&route, {}};
        }
        allow.append(allow.empty() ? "" : ", ").append(route.method);
        if (route.method == "GET") allow += ", HEAD";
    }
    if (allow.empty()) return {nullptr, problem(404, "there is no such call: GET /stats is one")};
    Response refusal = problem(405, "this call takes " + allow);
    refusal.fields.emplace_back("Allow", allow);
    return {nullptr, std::move(refusal)};
}

}  // namespace sluice::admin
