#pragma once

#include <optional>
#include <string>

namespace sluice::commands {

/// wrong_expression() says what RE2, which matches `path_regex`, has against an expression; nothing when it
/// takes it.
std::optional<std::string> wrong_expression(const std::string& expression);

}  // namespace sluice::commands
