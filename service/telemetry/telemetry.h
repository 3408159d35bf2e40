#pragma once

#include "service/telemetry/access_log.h"
#include "service/telemetry/counters.h"
#include "service/telemetry/log.h"

namespace sluice::telemetry {

/// What the service tells about itself, in one place: made by the app, handed to all by reference.
struct Telemetry {
    Telemetry(unsigned workers, Log::Options own, AccessLog::Options access_options)
        : log(own), counters(workers), access(workers, access_options) {}

    /// The last step of every request, whatever became of it: counts it, and gives it its line.
    void account(const RequestOutcome& outcome) noexcept {
        counters.account(outcome);
        if (access.wants(outcome)) access.write(outcome);
    }

    Log log;
    Counters counters;
    AccessLog access;
};

}  // namespace sluice::telemetry
