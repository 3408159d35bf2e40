#pragma once

// For sources only: the JSON library is heavy.

#include <nlohmann/json.hpp>

#include "service/admin/stats.h"

namespace sluice::admin {

using Json = nlohmann::ordered_json;  // keeps the order of its names: from the whole to the parts

Json json_of(const Stats& stats);

/// p50, p90, p99 and p999, in seconds.
Json json_of_quantiles(const telemetry::LatencyHistogram& histogram);

/// Text with a newline at the end. Names come from the configuration and keys from requests: what is not
/// UTF-8 is replaced, where dump() would throw. `indent` < 0: on one line.
std::string text_of(const Json& json, int indent = 2);

}  // namespace sluice::admin
