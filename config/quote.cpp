#include "config/quote.h"

#include <algorithm>
#include <cstddef>

namespace sluice::config {
namespace {

constexpr std::size_t kShown = 60;

bool continues(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// The character that `text`, which is UTF-8, begins with, and how many bytes it takes. Only what is below
// U+10000 is told rightly.
struct Character {
    unsigned code;
    std::size_t length;
};

Character first_of(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t longest = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::size_t length = 1;
    unsigned code = lead < 0xC0 ? lead : lead < 0xE0 ? lead & 0x1FU : lead & 0x0FU;
    for (; length < std::min(longest, text.size()) && continues(text[length]); ++length)
        code = code << 6 | (static_cast<unsigned char>(text[length]) & 0x3FU);
    return {code, length};
}

bool breaks_or_turns(unsigned code) {
    const auto within = [=](unsigned low, unsigned high) { return code >= low && code <= high; };
    return code < 0x20 || within(0x7F, 0x9F) || code == 0x061C || within(0x200E, 0x200F) ||
           within(0x2028, 0x202E) || within(0x2066, 0x2069);
}

void append_escaped(std::string& out, unsigned code) {
    constexpr std::string_view hex = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += hex[code >> shift & 15];
}

}  // namespace

std::string one_line(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto [code, length] = first_of(text);
        if (length <= 3 && breaks_or_turns(code)) {
            append_escaped(out, code);
        } else {
            out += text.substr(0, length);
        }
        text.remove_prefix(length);
    }
    return out;
}

std::string quote(std::string_view text) {
    std::size_t end = 0;
    for (std::size_t shown = 0; end < text.size(); ++end)
        if (!continues(text[end]) && ++shown > kShown) break;
    return '"' + one_line(text.substr(0, end)) + (end < text.size() ? "…\"" : "\"");
}

std::string one_of(std::span<const std::string_view> words) {
    std::string out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
        out += quote(words[i]);
    }
    return out;
}

}  // namespace sluice::config
