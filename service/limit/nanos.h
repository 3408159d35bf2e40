#pragma once

#include "runtime/time.h"
#include "service/limit/state.h"

namespace sluice::limit {

/// A time of the steady clock as the limiter counts it.
inline Nanos nanos(runtime::Time time) {
    return time.time_since_epoch().count();
}

}  // namespace sluice::limit
