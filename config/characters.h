#pragma once

// Characters of UTF-8, and which of them are not to be shown as they are.

#include <cstddef>
#include <string_view>

namespace sluice::config {

/// The length of the character that `text` begins with, 0 when there is none (RFC 3629: no overlong forms, no
/// surrogates, nothing above U+10FFFF).
std::size_t character_length(std::string_view text);

/// Of a character of up to three bytes.
unsigned code_point(std::string_view character);

/// What a terminal obeys rather than shows (C0, DEL, C1), and what makes a line look like several, or like
/// another one (U+2028, U+2029; the marks of direction, which Unicode has as Bidi_Control). None is above
/// U+FFFF.
bool breaks_or_turns(unsigned code_point);

/// \uXXXX, in `scratch`. REQUIRES: at most U+FFFF.
std::string_view unicode_escape(unsigned code_point, char (&scratch)[6]);

}  // namespace sluice::config
