#pragma once

// Descriptors: as many as the system lets this process have, and a warning where the configured connections
// may need more. Where they run out, new connections wait, and nobody says why.

#include "config/model.h"
#include "service/telemetry/log.h"

namespace sluice {

/// As many as the hard limit allows: the soft one is kept low for programs that use select().
void raise_descriptor_limit();

void warn_of_few_descriptors(const config::Config& config, telemetry::Log& log);

}  // namespace sluice
