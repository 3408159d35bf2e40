#pragma once

// "Did you mean": the nearest of a few known words.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

/// The number of letters to insert, drop, change or swap with their neighbour to get from one word to the
/// other (optimal string alignment), letters of both cases being the same.
std::size_t edit_distance(std::string_view one, std::string_view other);

/// nearest() returns the known word with the smallest distance, unless that is more than a third of the
/// word's length; then the first one that `word` begins with, or that begins with `word`.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);

/// `; did you mean "burst"?`, or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace sluice::config
