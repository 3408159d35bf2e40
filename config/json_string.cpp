#include "config/json_string.h"

#include <algorithm>

#include "config/characters.h"

namespace sluice::config {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

// What the character that `s` begins with is written as. `scratch` holds an escape.
std::string_view written_as(std::string_view s, std::size_t length, char (&scratch)[6]) {
    if (length == 0) return kReplacement;
    const std::string_view character = s.substr(0, length);
    if (length > 3 || (length == 1 && stands_for_itself(s[0]))) return character;
    const unsigned code = code_point(character);
    if (length > 1) return breaks_or_turns(code) ? unicode_escape(code, scratch) : character;
    switch (s[0]) {
        case '"': return "\\\"";
        case '\\': return "\\\\";
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
    }
    return unicode_escape(code, scratch);
}

}  // namespace

std::string_view take_escaped(std::string_view& rest, char (&scratch)[6]) {
    const std::size_t length = character_length(rest);
    const std::string_view written = written_as(rest, length, scratch);
    rest.remove_prefix(std::max<std::size_t>(length, 1));
    return written;
}

}  // namespace sluice::config
