#include "config/quote.h"

#include <algorithm>
#include <cstddef>

#include "config/characters.h"

namespace sluice::config {
namespace {

constexpr std::size_t kShown = 60;

bool continues(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

std::string one_line(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        // What is no character, which only the environment can hold, counts as one for each byte.
        const std::string_view first = text.substr(0, std::max<std::size_t>(character_length(text), 1));
        const bool plain = first.size() > 3 || !breaks_or_turns(code_point(first));
        char scratch[6];
        out += plain ? first : unicode_escape(code_point(first), scratch);
        text.remove_prefix(first.size());
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
