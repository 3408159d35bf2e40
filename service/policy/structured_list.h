#pragma once

// A reader of structured-field lists (RFC 9651), as far as someone else's RateLimit field needs one: every
// member is checked for form, one integer parameter is read.

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::policy {

/// The largest integer that a structured field can hold: 15 digits.
inline constexpr std::uint64_t kStructuredIntegerMax = 999'999'999'999'999;

/// The least value of the parameter `key` over all members of the list. nullopt: this is no list of RFC 9651
/// §3.1, it is empty, or a member lacks the parameter or has it as anything but an integer of at least 0.
std::optional<std::uint64_t> least_parameter(std::string_view list, std::string_view key);

}  // namespace sluice::policy
