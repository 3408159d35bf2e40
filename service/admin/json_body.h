#pragma once

// The body of an answer of JSON.

#include <string>

#include "config/json_text.h"

namespace sluice::admin {

using config::JsonObject;
using config::JsonValue;

/// Indented, and with a newline at its end.
inline std::string body_of(const JsonValue& json) {
    return config::json_text(json) + "\n";
}

}  // namespace sluice::admin
