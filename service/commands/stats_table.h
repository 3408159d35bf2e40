#pragma once

#include <string>
#include <string_view>

namespace sluice::commands {

/// What /stats answered, as a table for people. `previous`: what it answered `seconds` ago, from which rates
/// per second are told; empty for none. Any field may be missing: a service of another version is shown as
/// far as it goes. Throws nlohmann::json::exception when `body` is no JSON object.
std::string stats_table(std::string_view body, std::string_view previous = {}, double seconds = 0);

}  // namespace sluice::commands
