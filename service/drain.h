#pragma once

#include "runtime/time.h"
#include "service/check_listener.h"
#include "service/proxy/context.h"

namespace sluice {

/// Ends all connections, within `drain` of `began` and a second: those under way with their answer, which
/// tells the client that it was the last; those that idle when they have had time for a request that was on
/// its way, since a client that is cut off in the middle of one cannot tell whether it was carried out; what
/// is left then is cut. Parks. False: something did not end. REQUIRES: context.draining, and nobody accepts.
bool end_connections(proxy::Context& context, CheckListener& check, runtime::Time began,
                     runtime::Duration drain);

}  // namespace sluice
