#pragma once

#include "config/model.h"
#include "service/telemetry/log.h"

namespace sluice {

/// Warns when the admin listener has no token and is not on loopback or a Unix socket: whoever reaches it may
/// ban, let in and reload.
void warn_of_open_admin(const config::Config& config, telemetry::Log& log);

}  // namespace sluice
