#pragma once

// `${NAME}` and `${NAME:-default}` in the strings of a configuration.

#include <expected>
#include <string>
#include <string_view>

#include "config/environment.h"

namespace sluice::config {

/// expand() puts the variables in. The default is taken for a variable that is unset or empty, as a shell
/// does; it ends at the first `}`, and holds no other `${`. `$${` stands for a `${` that is meant. What a
/// variable holds is not expanded again. The error says which variable is unset or what is malformed.
std::expected<std::string, std::string> expand(std::string_view text, const Environment& environment);

/// The inverse: what expand() turns into `text` whatever the environment.
std::string escape_variables(std::string_view text);

}  // namespace sluice::config
