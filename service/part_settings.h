#pragma once

// What the configuration means to the parts that know nothing of it.

#include <string>
#include <vector>

#include "config/model.h"
#include "service/limit/janitor.h"
#include "service/telemetry/access_log.h"
#include "service/telemetry/log.h"

namespace sluice {

telemetry::Log::Options log_options(const config::Log& log);
telemetry::AccessLog::Options access_options(const config::Log& log);
limit::Janitor::Settings janitor_settings(const config::Clients& clients);

/// The file at `path`, which `config` was read from, and those that it names: who renews one expects it to be
/// read.
std::vector<std::string> files_of(const std::string& path, const config::Config& config);

/// Has `next` keep what a reload does not change of `now`: the runtime, the admin listener's address, and
/// whether the port of an address that stays is shared. Returns the settings that it had otherwise.
std::vector<std::string> keep_what_stays(const config::Config& now, config::Config& next);

}  // namespace sluice
