#pragma once

// The inside of a JSON string, on one line, whatever the bytes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::config {

/// Whether a character of ASCII stands for itself there: most text is of nothing else, and can be copied.
inline constexpr auto stands_for_itself = [](char c) {
    static constexpr auto table = [] {
        std::array<bool, 256> plain{};
        for (std::size_t at = 0x20; at < 0x7f; ++at) plain[at] = at != '"' && at != '\\';
        return plain;
    }();
    return table[static_cast<std::uint8_t>(c)];
};

/// Takes the character off that `rest` begins with, and tells what is written for it: quotes, backslashes,
/// control characters (C0, DEL and C1) and what breaks a line (U+2028, U+2029) or turns the direction of
/// writing are escaped, in `scratch`; a byte that is not UTF-8 becomes U+FFFD; all others stay.
/// REQUIRES: `rest` is not empty.
std::string_view take_escaped(std::string_view& rest, char (&scratch)[6]);

}  // namespace sluice::config
