#include "service/commands/expression.h"

#include <re2/re2.h>

namespace sluice::commands {

std::optional<std::string> wrong_expression(const std::string& expression) {
    const re2::RE2 compiled(expression, re2::RE2::Quiet);
    if (compiled.ok()) return std::nullopt;
    return compiled.error();
}

}  // namespace sluice::commands
