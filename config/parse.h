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

/// Who knows what this folder does not, and only says where it stands. Each tells what is wrong, or nothing;
/// one that is not there takes anything.
struct Judges {
    template <class... Text>
    using Judge = std::function<std::optional<std::string>(const Text&...)>;

    Judge<std::string> expression;        // of path_regex
    Judge<std::string> certificate;       // a file of a certificate and those that sign it
    Judge<std::string, std::string> key;  // a file of its key; and the certificate's
    Judge<std::string> authorities;       // a file of certificates that others are judged by
};

/// parse() takes JSON with comments, expands `${NAME}` in its strings, reads every key, and checks what one
/// value alone cannot tell (routes to upstreams that do not exist, names used twice). A text that is not JSON
/// is one error; else all errors come at once, in the order of the text. What the schema names and this
/// version has not built is an error too. `file` is only for the errors. Never throws for anything in `text`.
std::expected<Config, Errors> parse(std::string_view text, std::string file, const Environment& environment,
                                    const Judges& judges = {});

}  // namespace sluice::config
