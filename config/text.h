#pragma once

// Places in a text: where the next token of a JSON text stands, and what line and column an offset is.

#include <cstddef>
#include <optional>
#include <string_view>

namespace sluice::config {

struct Place {
    unsigned line = 1;
    unsigned column = 1;  // in code points
};

/// The place of the byte at `offset`, which may be the end of the text.
Place place_of(std::string_view text, std::size_t offset);

struct Token {
    std::size_t begin;
    std::size_t end;  // one past the last byte; begin == end at the end of the text
};

/// The next token at or after `from`, past blanks and comments: a string, one of {}[]:, or a run of anything
/// else. Follows a parser that has found the text up to the token's end to be good JSON; on other text it
/// still ends, anywhere.
Token next_token(std::string_view text, std::size_t from);

/// Where a comment begins that never ends, when that is all that is left at or after `from`.
std::optional<std::size_t> unclosed_comment(std::string_view text, std::size_t from);

/// What some editors put before a UTF-8 text: U+FEFF. No part of the JSON behind it.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// The first byte that is not UTF-8 (RFC 3629), or is NUL, which parsers take for the end of the text.
std::optional<std::size_t> first_bad_byte(std::string_view text);

}  // namespace sluice::config
