#pragma once

// What the contract names and this version has not built.

#include <optional>
#include <string>
#include <string_view>

#include "config/document.h"

namespace sluice::config {

/// "… is not supported yet" for a value that nothing would act on. `pattern` as in Value.
std::optional<std::string> not_supported(std::string_view pattern, const Node& node);

}  // namespace sluice::config
