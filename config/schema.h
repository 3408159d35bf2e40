#pragma once

// The JSON Schema of the configuration: config/sluice.schema.json, byte for byte, put into the program by the
// build.

#include <string_view>

namespace sluice::config {

std::string_view schema();

}  // namespace sluice::config
