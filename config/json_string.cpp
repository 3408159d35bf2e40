#include "config/json_string.h"

#include <algorithm>
#include <cstring>

namespace sluice::config {
namespace {

constexpr std::string_view kReplacement = "\uFFFD";

// The length of the UTF-8 sequence that `s` begins with, 0 when there is none (RFC 3629: no overlong forms,
// no surrogates, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view s) {
    const auto byte = [&](std::size_t i) {
        return i < s.size() ? static_cast<std::uint8_t>(s[i]) : std::uint8_t{0};
    };
    const auto continues = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xbf) {
        return byte(i) >= low && byte(i) <= high;
    };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
    if (lead >= 0xe0 && lead <= 0xef) {
        const std::uint8_t low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (lead >= 0xf0 && lead <= 0xf4) {
        const std::uint8_t low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

// Of a sequence of two or three bytes.
unsigned code_point(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(s[i]); };
    if (s.size() == 2) return (byte(0) & 0x1fU) << 6 | (byte(1) & 0x3fU);
    return (byte(0) & 0x0fU) << 12 | (byte(1) & 0x3fU) << 6 | (byte(2) & 0x3fU);
}

// What a terminal obeys rather than shows (C1), and what makes a line look like several, or like another one
// (U+2028, U+2029; the marks of direction, which Unicode has as Bidi_Control).
bool misleads(std::string_view s) {
    if (s.size() < 2 || s.size() > 3) return false;
    const unsigned c = code_point(s);
    const auto within = [=](unsigned low, unsigned high) { return c >= low && c <= high; };
    return within(0x80, 0x9f) || c == 0x61c || within(0x200e, 0x200f) || within(0x2028, 0x202e) ||
           within(0x2066, 0x2069);
}

std::string_view hex_escape(unsigned code, char (&scratch)[6]) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::memcpy(scratch, "\\u", 2);
    for (int i = 0; i < 4; ++i) scratch[2 + i] = kHex[code >> (12 - 4 * i) & 15];
    return {scratch, 6};
}

// What the character that `s` begins with is written as. `scratch` holds an escape.
std::string_view written_as(std::string_view s, std::size_t length, char (&scratch)[6]) {
    if (length == 0) return kReplacement;
    const std::string_view character = s.substr(0, length);
    if (misleads(character)) return hex_escape(code_point(character), scratch);
    if (length > 1 || stands_for_itself(s[0])) return character;
    switch (s[0]) {
        case '"': return "\\\"";
        case '\\': return "\\\\";
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
    }
    return hex_escape(static_cast<std::uint8_t>(s[0]), scratch);
}

}  // namespace

std::string_view take_escaped(std::string_view& rest, char (&scratch)[6]) {
    const std::size_t length = utf8_length(rest);
    const std::string_view written = written_as(rest, length, scratch);
    rest.remove_prefix(std::max<std::size_t>(length, 1));
    return written;
}

}  // namespace sluice::config
