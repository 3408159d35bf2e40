#pragma once

// From a file to a Config.

#include <expected>
#include <string>

#include "config/environment.h"
#include "config/error.h"
#include "config/model.h"
#include "config/parse.h"

namespace sluice::config {

/// load() reads the file at `path` and parses it: see parse(). Errors of the file itself (missing, a folder,
/// not permitted, larger than parse() takes) are one error without a line. Blocks on the disk: call it from a
/// thread of its own once tasks are running.
std::expected<Config, Errors> load(const std::string& path, const Environment& environment,
                                   const Judges& judges = {});

}  // namespace sluice::config
