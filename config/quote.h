#pragma once

// A value of the file inside a message.

#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

/// one_line() is `text` with whatever would break or reorder the line that it is shown in as \uXXXX: control
/// characters (C0, DEL, C1), U+2028 and U+2029, and those that turn the direction of writing.
std::string one_line(std::string_view text);

/// quote() puts `text` in double quotes, on one line, and no more than the first 60 characters.
std::string quote(std::string_view text);

/// `"all", "limited" or "off"`.
std::string one_of(std::span<const std::string_view> words);

}  // namespace sluice::config
