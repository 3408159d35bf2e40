#include "config/characters.h"

#include <cstdint>
#include <cstring>

namespace sluice::config {

std::size_t character_length(std::string_view s) {
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

unsigned code_point(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(s[i]); };
    if (s.size() == 1) return byte(0);
    if (s.size() == 2) return (byte(0) & 0x1fU) << 6 | (byte(1) & 0x3fU);
    return (byte(0) & 0x0fU) << 12 | (byte(1) & 0x3fU) << 6 | (byte(2) & 0x3fU);
}

bool breaks_or_turns(unsigned code) {
    const auto within = [=](unsigned low, unsigned high) { return code >= low && code <= high; };
    return code < 0x20 || within(0x7f, 0x9f) || code == 0x61c || within(0x200e, 0x200f) ||
           within(0x2028, 0x202e) || within(0x2066, 0x2069);
}

std::string_view unicode_escape(unsigned code, char (&scratch)[6]) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::memcpy(scratch, "\\u", 2);
    for (int i = 0; i < 4; ++i) scratch[2 + i] = kHex[code >> (12 - 4 * i) & 15];
    return {scratch, 6};
}

}  // namespace sluice::config
