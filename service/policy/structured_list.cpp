#include "service/policy/structured_list.h"

#include <algorithm>

#include "service/http/text.h"

namespace sluice::policy {

namespace {

using http::is_digit;

constexpr bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
constexpr bool is_alpha(char c) {
    return is_lower(http::lower(c));
}
constexpr bool is_key_char(char c) {
    return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}
constexpr bool is_base64(char c) {
    return is_alpha(c) || is_digit(c) || c == '+' || c == '/' || c == '=';
}
constexpr bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/// Walks over the text; each function takes what it is named after, and is false when that is not there.
/// §4.2.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool ended() const { return rest_.empty(); }
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void spaces() {
        while_true([](char c) { return c == ' '; });
    }
    void blanks() { while_true(http::is_blank); }

    /// A member: an item or an inner list, with parameters. Leaves the integer value of `key` in `value`.
    bool member(std::string_view key, std::optional<std::uint64_t>& value) {
        return (take('(') ? inner_list() : bare_item(nullptr)) && parameters(key, &value);
    }

  private:
    template <class Is>
    std::string_view while_true(Is is) {
        const auto end = std::ranges::find_if_not(rest_, is);
        const auto taken = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
        rest_.remove_prefix(taken.size());
        return taken;
    }

    /// Behind its parenthesis: items with a space or more between them.
    bool inner_list() {
        for (;;) {
            spaces();
            if (take(')')) return true;
            if (!bare_item(nullptr) || !parameters({}, nullptr)) return false;
            if (!rest_.starts_with(' ') && !rest_.starts_with(')')) return false;
        }
    }

    bool parameters(std::string_view key, std::optional<std::uint64_t>* value) {
        while (take(';')) {
            spaces();
            if (rest_.empty() || !(is_lower(rest_.front()) || rest_.front() == '*')) return false;
            const std::string_view name = while_true(is_key_char);
            std::optional<std::uint64_t> integer;  // of anything else, and of a mere name: none
            if (take('=') && !bare_item(&integer)) return false;
            if (value && name == key) *value = integer;  // the last one counts
        }
        return true;
    }

    bool bare_item(std::optional<std::uint64_t>* integer) {
        if (rest_.empty()) return false;
        const char c = rest_.front();
        if (c == '-' || is_digit(c)) return number(integer);
        if (c == '*' || is_alpha(c)) return token();
        rest_.remove_prefix(1);
        switch (c) {
            case '"': return string();
            case ':': return while_true(is_base64), take(':');
            case '?': return take('0') || take('1');
            case '@': return number(nullptr, false);
            case '%': return take('"') && display_string();
            default: return false;
        }
    }

    bool number(std::optional<std::uint64_t>* integer, bool decimals = true) {
        const bool negative = take('-');
        const std::string_view digits = while_true(is_digit);
        if (digits.empty() || digits.size() > 15) return false;
        if (take('.')) {
            const std::string_view behind = while_true(is_digit);
            return decimals && digits.size() <= 12 && !behind.empty() && behind.size() <= 3;
        }
        std::uint64_t value = 0;
        for (const char c : digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
        if (integer && (!negative || value == 0)) *integer = value;
        return true;
    }

    bool token() {
        while_true([](char c) { return http::is_token_char(c) || c == ':' || c == '/'; });
        return true;
    }

    bool string() {
        while (!rest_.empty()) {
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (c < 0x20 || c > 0x7e) return false;
            if (c == '\\' && !take('"') && !take('\\')) return false;
        }
        return false;
    }

    bool display_string() {
        while (!rest_.empty()) {
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (c < 0x20 || c > 0x7e) return false;
            if (c != '%') continue;
            if (rest_.size() < 2 || !is_hex(rest_[0]) || !is_hex(rest_[1])) return false;
            rest_.remove_prefix(2);
        }
        return false;
    }

    std::string_view rest_;
};

}  // namespace

std::optional<std::uint64_t> least_parameter(std::string_view list, std::string_view key) {
    Reader reader(http::trimmed(list));
    std::optional<std::uint64_t> least;
    for (;;) {
        std::optional<std::uint64_t> value;
        if (!reader.member(key, value) || !value) return std::nullopt;
        least = std::min(least.value_or(*value), *value);
        reader.blanks();
        if (reader.ended()) return least;
        if (!reader.take(',')) return std::nullopt;
        reader.blanks();
    }
}

}  // namespace sluice::policy
