#pragma once

#include <string>

namespace sluice {

/// `sluice run`: loads the file, serves until SIGTERM or SIGINT, drains, and returns the exit code. One clear
/// line on stderr says why when the configuration or the start failed (1).
int serve(const std::string& config_path);

}  // namespace sluice
