#include "config/quote.h"

#include <cstddef>

namespace sluice::config {
namespace {

constexpr std::size_t kShown = 60;

bool continues(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

void append_escaped(std::string& out, char c) {
    constexpr std::string_view hex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    out += "\\u00";
    out += hex[byte >> 4];
    out += hex[byte & 15];
}

}  // namespace

std::string quote(std::string_view text) {
    std::string out = "\"";
    std::size_t shown = 0;
    for (const char c : text) {
        if (!continues(c) && ++shown > kShown) {
            out += "…";
            break;
        }
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
            append_escaped(out, c);
        } else {
            out += c;
        }
    }
    return out + '"';
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
