#include "service/policy/matcher.h"

#include <algorithm>

#include <re2/re2.h>

#include "service/http/text.h"

namespace sluice::policy {

namespace {

/// In any case, and with the dot of the root or without: the upstream takes them for the same.
bool same_host(std::string_view a, std::string_view b) {
    if (a.ends_with('.')) a.remove_suffix(1);
    if (b.ends_with('.')) b.remove_suffix(1);
    return http::equals_ignoring_case(a, b);
}

}  // namespace

Matcher::Matcher(const config::Match& match) : match_(match), everything_(match == config::Match{}) {
    match_.path = http::NormalPath(match.path).text();
    match_.path_prefix = http::NormalPath(match.path_prefix).text();
    if (!match.path_regex.empty())
        regex_ = std::make_unique<const re2::RE2>(match.path_regex, re2::RE2::Quiet);
}

Matcher::Matcher(Matcher&&) noexcept = default;
Matcher::~Matcher() = default;

bool Matcher::matches(const Request& request) const {
    return everything_ || conditions_hold(request);
}

bool Matcher::conditions_hold(const Request& request) const {
    const http::RequestHead& head = request.head;
    if (!match_.listener.empty() && match_.listener != request.listener) return false;
    if (!match_.host.empty() && !same_host(match_.host, head.host)) return false;
    if (!match_.path.empty() && match_.path != request.path()) return false;
    if (!match_.path_prefix.empty() && !request.path().starts_with(match_.path_prefix)) return false;
    if (!match_.methods.empty() &&
        std::ranges::find(match_.methods, head.method_text) == match_.methods.end())
        return false;
    for (const auto& [name, value] : match_.headers) {
        const bool there = std::any_of(head.fields.begin(), head.fields.end(), [&](const http::Field& field) {
            return field.value == value && http::equals_ignoring_case(field.name, name);
        });
        if (!there) return false;
    }
    return !regex_ ||
           re2::RE2::PartialMatch(re2::StringPiece(request.path().data(), request.path().size()), *regex_);
}

}  // namespace sluice::policy
