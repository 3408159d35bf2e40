#pragma once

// "250ms", "1.5s", "1h30m", "2d".

#include <expected>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::config {

/// The longest duration that a configuration may name, so that adding it to a clock never overflows.
inline constexpr Duration kLongest = std::chrono::hours(24 * 3650);

/// parse_duration() takes one or more numbers with a unit (d h m s ms us ns), the larger units first; a
/// number may have decimals as far as the nanosecond. The result is above zero and at most kLongest. The
/// error is a whole message.
std::expected<Duration, std::string> parse_duration(std::string_view text);

/// The shortest text with one unit that parse_duration() reads as `duration`: 90 minutes are "90m", 1.5 s
/// "1500ms".
std::string to_string(Duration duration);

/// A guess at what was meant: blanks dropped, "sec", "Minutes" and their like turned into units. For
/// suggestions.
std::string with_known_units(std::string_view text);

}  // namespace sluice::config
