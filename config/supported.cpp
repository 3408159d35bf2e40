#include "config/supported.h"

#include <algorithm>
#include <array>

#include "config/checks.h"

namespace sluice::config {
namespace {

constexpr std::array kNotBuilt{
    NotBuilt{"/store/redis", "*", "a store outside the process"},
};

bool matches(std::string_view refused, std::string_view text) {
    if (refused.starts_with('!')) return !same_ignoring_case(text, refused.substr(1));
    if (refused.ends_with('*')) return text.starts_with(refused.substr(0, refused.size() - 1));
    return text == refused;
}

}  // namespace

std::span<const NotBuilt> not_built() {
    return kNotBuilt;
}

std::optional<std::string> not_supported(std::string_view pattern, const Node& node) {
    const auto* const found = std::find_if(kNotBuilt.begin(), kNotBuilt.end(), [&](const NotBuilt& row) {
        return row.pattern == pattern && matches(row.refused, node.text);
    });
    if (found == kNotBuilt.end()) return std::nullopt;
    return std::string(found->what) + " is not supported yet";
}

}  // namespace sluice::config
