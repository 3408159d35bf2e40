#pragma once

// What the schema (sluice.schema.json) names and this version has not built.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/document.h"

namespace sluice::config {

/// A row goes when what it names is built; without rows, everything in the schema is. `pattern` as in
/// Value. `refused` is a value as it is written: "*" is any, "!x" is any but x, "x*" begins with x.
struct NotBuilt {
    std::string_view pattern;
    std::string_view refused;
    std::string_view what;
};

std::span<const NotBuilt> not_built();

/// "… is not supported yet" for a value that nothing would act on. `pattern` as in Value.
std::optional<std::string> not_supported(std::string_view pattern, const Node& node);

}  // namespace sluice::config
