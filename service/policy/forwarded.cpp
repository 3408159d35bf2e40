#include "service/policy/forwarded.h"

#include <algorithm>
#include <array>

#include "service/http/text.h"
#include "service/policy/identify.h"

namespace sluice::policy {

namespace {

constexpr std::size_t kNone = std::string_view::npos;

// Escaped when an odd number of backslashes is before it.
bool is_escaped(std::string_view text, std::size_t at) {
    std::size_t backslashes = 0;
    while (backslashes < at && text[at - 1 - backslashes] == '\\') ++backslashes;
    return backslashes % 2 == 1;
}

std::size_t last_comma(std::string_view text, bool quotes) {
    if (!quotes) return text.rfind(',');
    bool quoted = false;
    for (std::size_t at = text.size(); at-- > 0;) {
        if (text[at] == '"' && !(quoted && is_escaped(text, at))) quoted = !quoted;
        if (text[at] == ',' && !quoted) return at;
    }
    return kNone;
}

/// A value of Forwarded, unquoted. Longer ones than any address is are cut, and then are none.
class Value {
  public:
    void add(char c) {
        if (size_ < room_.size()) room_[size_++] = c;
    }
    bool cut() const { return size_ == room_.size(); }
    std::string_view text() const { return {room_.data(), size_}; }

  private:
    std::array<char, 80> room_;
    std::size_t size_ = 0;
};

constexpr bool is_value_char(char c) {
    return http::is_token_char(c) || c == ':' || c == '[' || c == ']';
}

/// Takes a token or a quoted string off the front (RFC 9110 §5.6.4).
bool take_value(std::string_view& rest, Value& value) {
    if (!rest.starts_with('"')) {
        while (!rest.empty() && is_value_char(rest.front())) {
            value.add(rest.front());
            rest.remove_prefix(1);
        }
        return !value.text().empty();
    }
    for (std::size_t at = 1; at < rest.size(); ++at) {
        if (rest[at] == '"') {
            rest.remove_prefix(at + 1);
            return true;
        }
        if (rest[at] == '\\' && ++at == rest.size()) return false;
        value.add(rest[at]);
    }
    return false;
}

// §6: `_` and letters, digits, `.`, `_`, `-`.
std::string_view without_hidden_port(std::string_view node) {
    const std::size_t port = node.rfind(":_");
    if (port == kNone || port + 2 == node.size()) return node;
    const bool well_formed = std::ranges::all_of(node.substr(port + 2), [](char c) {
        return http::is_digit(c) || (http::lower(c) >= 'a' && http::lower(c) <= 'z') || c == '.' ||
               c == '_' || c == '-';
    });
    return well_formed ? node.substr(0, port) : node;
}

}  // namespace

std::optional<std::string_view> ElementsFromTheRight::next() {
    while (!more_) {
        do {
            if (line_ == fields_.begin()) return std::nullopt;
            --line_;
        } while (line_->id != id_);
        rest_ = line_->value;
        more_ = true;
    }
    const std::size_t comma = last_comma(rest_, quotes_);
    const std::string_view element = comma == kNone ? rest_ : rest_.substr(comma + 1);
    more_ = comma != kNone;
    rest_ = rest_.substr(0, more_ ? comma : 0);
    return http::trimmed(element);
}

bool parse_forwarded_element(std::string_view element, limit::Address& address) {
    bool found = false;
    for (std::string_view rest = http::trimmed(element); !rest.empty(); rest = http::trimmed(rest)) {
        if (rest.front() == ';') {  // §4: pairs may be missing between them
            rest.remove_prefix(1);
            continue;
        }
        const std::size_t name_size =
            static_cast<std::size_t>(std::ranges::find_if_not(rest, http::is_token_char) - rest.begin());
        const std::string_view name = rest.substr(0, name_size);
        rest.remove_prefix(name_size);
        if (name.empty() || !rest.starts_with('=')) return false;
        rest.remove_prefix(1);
        Value value;
        if (!take_value(rest, value)) return false;
        rest = http::trimmed(rest);
        if (!rest.empty() && rest.front() != ';') return false;
        if (!http::equals_ignoring_case(name, "for")) continue;
        if (found || value.cut()) return false;
        found = parse_forwarded_address(without_hidden_port(value.text()), address);
        if (!found) return false;
    }
    return found;
}

}  // namespace sluice::policy
