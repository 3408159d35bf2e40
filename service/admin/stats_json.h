#pragma once

// The parts of `GET /stats` that other answers have, too.

#include "config/json_text.h"
#include "service/admin/stats.h"

namespace sluice::admin {

using config::JsonArray;
using config::JsonObject;

void add_stats(JsonObject& out, const Stats& stats);

/// p50, p90, p99 and p999, in seconds.
void add_quantiles(JsonObject& out, const telemetry::LatencyHistogram& histogram);

/// An answer of JSON: indented, and with a newline at its end.
std::string body_of(const config::JsonValue& json);

}  // namespace sluice::admin
