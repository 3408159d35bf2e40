#include "config/text.h"

#include <algorithm>

#include "config/characters.h"

namespace sluice::config {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kSingle = "{}[]:,";

std::size_t end_or(std::size_t found, std::size_t extra, std::string_view text) {
    return found == std::string_view::npos ? text.size() : found + extra;
}

struct Skipped {
    std::size_t end;
    std::optional<std::size_t> unclosed;  // where a comment begins that goes on to the end of the text
};

Skipped skip_blanks_and_comments(std::string_view text, std::size_t at) {
    while (true) {
        at = end_or(text.find_first_not_of(kBlank, at), 0, text);
        if (text.substr(at, 2) == "//") {
            at = end_or(text.find_first_of("\r\n", at), 1, text);  // as nlohmann::json has it
        } else if (text.substr(at, 2) == "/*") {
            const auto end = text.find("*/", std::min(at + 2, text.size()));
            if (end == std::string_view::npos) return {text.size(), at};
            at = end + 2;
        } else {
            return {at, std::nullopt};
        }
    }
}

std::size_t end_of_string(std::string_view text, std::size_t begin) {
    for (std::size_t at = begin + 1; at < text.size(); ++at) {
        if (text[at] == '\\') {
            ++at;
        } else if (text[at] == '"') {
            return at + 1;
        }
    }
    return text.size();
}

}  // namespace

Place place_of(std::string_view text, std::size_t offset) {
    const std::string_view before = text.substr(0, offset);
    const auto newline = before.rfind('\n');
    const std::string_view line = newline == std::string_view::npos ? before : before.substr(newline + 1);
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
    return {static_cast<unsigned>(std::count(before.begin(), before.end(), '\n') + 1),
            static_cast<unsigned>(std::count_if(line.begin(), line.end(), begins) + 1)};
}

Token next_token(std::string_view text, std::size_t from) {
    const std::size_t begin = skip_blanks_and_comments(text, from).end;
    if (begin >= text.size()) return {text.size(), text.size()};
    if (text[begin] == '"') return {begin, end_of_string(text, begin)};
    if (kSingle.find(text[begin]) != std::string_view::npos) return {begin, begin + 1};
    const auto end = text.find_first_of(" \t\r\n{}[]:,\"/", begin + 1);
    return {begin, end_or(end, 0, text)};
}

std::optional<std::size_t> unclosed_comment(std::string_view text, std::size_t from) {
    return skip_blanks_and_comments(text, from).unclosed;
}

std::optional<std::size_t> first_bad_byte(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = character_length(text.substr(at));
        if (length == 0 || text[at] == '\0') return at;
        at += length;
    }
    return std::nullopt;
}

}  // namespace sluice::config
