#pragma once

// The small grammar that all heads share: characters, comparisons, lists (RFC 9110 §5.6).

#include <array>
#include <string_view>

namespace sluice::http {

namespace detail {

constexpr std::array<bool, 256> make_token_table() {
    std::array<bool, 256> table{};
    for (const char* c = "!#$%&'*+-.^_`|~0123456789"; *c; ++c) table[static_cast<unsigned char>(*c)] = true;
    for (int c = 'a'; c <= 'z'; ++c)
        table[static_cast<unsigned>(c)] = table[static_cast<unsigned>(c - 32)] = true;
    return table;
}
inline constexpr std::array<bool, 256> kToken = make_token_table();

}  // namespace detail

constexpr bool is_token_char(char c) {
    return detail::kToken[static_cast<unsigned char>(c)];
}
constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}
constexpr char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

/// Whether `text` is a token: not empty, and of token characters only.
constexpr bool is_token(std::string_view text) {
    for (const char c : text)
        if (!is_token_char(c)) return false;
    return !text.empty();
}

/// Equal but for the case of ASCII letters.
constexpr bool equals_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
    return true;
}

constexpr std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Walks over a comma-separated list in which nothing is quoted. Elements may be empty; an empty list has
/// one, which is.
///
///     ListCursor list(value);
///     for (std::string_view element; list.next(element);) …
class ListCursor {
  public:
    explicit constexpr ListCursor(std::string_view list) : rest_(list) {}

    constexpr bool next(std::string_view& element) {
        if (ended_) return false;
        const std::size_t comma = rest_.find(',');
        element = trimmed(rest_.substr(0, comma));
        ended_ = comma == std::string_view::npos;
        if (!ended_) rest_.remove_prefix(comma + 1);
        return true;
    }

  private:
    std::string_view rest_;
    bool ended_ = false;
};

}  // namespace sluice::http
