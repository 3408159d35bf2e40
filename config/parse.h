#pragma once

// From the text of a configuration to a Config, or to everything that is wrong with it.

#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/environment.h"
#include "config/error.h"
#include "config/model.h"

namespace sluice::config {

inline constexpr std::size_t kMaxFileBytes = 4 * 1024 * 1024;
inline constexpr unsigned kMaxDepth = 32;  // objects and arrays inside each other

/// Says what is wrong with an expression of `path_regex`, or nothing. Which expressions there are is the
/// business of who matches them; this folder only knows where they stand.
using ExpressionJudge = std::function<std::optional<std::string>(const std::string& expression)>;

/// parse() takes JSON with comments, expands `${NAME}` in its strings, reads every key, and checks what one
/// value alone cannot tell (routes to upstreams that do not exist, names used twice). A text that is not JSON
/// is one error; else all errors come at once, in the order of the text. What the contract names and this
/// version has not built is an error too. `file` is only for the errors. Without a judge any expression will
/// do. Never throws for anything in `text`.
std::expected<Config, Errors> parse(std::string_view text, std::string file, const Environment& environment,
                                    const ExpressionJudge& judge = {});

}  // namespace sluice::config
