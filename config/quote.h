#pragma once

// A value of the file inside a message.

#include <span>
#include <string>
#include <string_view>

namespace sluice::config {

/// quote() puts `text` in double quotes on one line: control characters as \u00XX, and no more than the first
/// 60 characters.
std::string quote(std::string_view text);

/// `"all", "limited" or "off"`.
std::string one_of(std::span<const std::string_view> words);

}  // namespace sluice::config
