#pragma once

// "10/s", "5000/h", "100/10s".

#include <expected>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::config {

/// parse_rate() takes COUNT/UNIT, where UNIT is a unit or a whole duration. At least 1 in 365 days, at most
/// 10^9 a second (one in each nanosecond, the grain of the limiter's clock). The error is a whole message.
std::expected<Rate, std::string> parse_rate(std::string_view text);

}  // namespace sluice::config
