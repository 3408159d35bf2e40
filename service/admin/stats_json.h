#pragma once

// The parts of `GET /stats` that other answers have, too.

#include "config/json_text.h"
#include "service/admin/stats.h"

namespace sluice::admin {

/// All of it.
void add_stats(config::JsonObject& out, const Stats& stats);

/// p50, p90, p99 and p999, in seconds.
void add_quantiles(config::JsonObject& out, const telemetry::LatencyHistogram& histogram);

}  // namespace sluice::admin
