#pragma once

#include "service/proxy/context.h"

namespace sluice {

/// Removes the bans that are over, and says so in the log, once a second at most. Lets other tasks run in
/// between.
void expire_bans(proxy::Context& context);

}  // namespace sluice
