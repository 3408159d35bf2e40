#include "service/policy/matcher.h"

#include <algorithm>

#include <re2/re2.h>

#include "service/http/text.h"

namespace sluice::policy {

Matcher::Matcher(const config::Match& match) : match_(match), everything_(match == config::Match{}) {
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
    if (!match_.host.empty() && !http::equals_ignoring_case(match_.host, head.host)) return false;
    if (!match_.path.empty() && match_.path != head.path) return false;
    if (!match_.path_prefix.empty() && !head.path.starts_with(match_.path_prefix)) return false;
    if (!match_.methods.empty() &&
        std::ranges::find(match_.methods, head.method_text) == match_.methods.end())
        return false;
    for (const auto& [name, value] : match_.headers) {
        const http::Field* field = head.fields.find(name);
        if (!field || field->value != value) return false;
    }
    return !regex_ || re2::RE2::PartialMatch(re2::StringPiece(head.path.data(), head.path.size()), *regex_);
}

}  // namespace sluice::policy
