#pragma once

// The environment variables that strings of a configuration may name.

#include <functional>
#include <map>
#include <string>

namespace sluice::config {

/// A value, so that a test or a reload says exactly what a configuration may see.
using Environment = std::map<std::string, std::string, std::less<>>;

/// What this process was started with. Not to be called beside a setenv().
Environment process_environment();

}  // namespace sluice::config
