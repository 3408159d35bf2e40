#include "service/http/target.h"

#include <algorithm>
#include <array>

#include "service/http/text.h"

namespace sluice::http {

namespace {

using Result = std::expected<void, Refusal>;

Result refuse(std::string_view reason) {
    return std::unexpected(Refusal{400, reason});
}

// Visible ASCII but `#`: a fragment is never sent, and who cuts it off sees another path than who does not
// (CVE-2023-45539).
constexpr bool is_target_char(char c) {
    return c > 0x20 && c < 0x7f && c != '#';
}

constexpr bool is_letter(char c) {
    return lower(c) >= 'a' && lower(c) <= 'z';
}
constexpr bool is_hex(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f');
}
constexpr bool is_name_char(char c) {
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}
constexpr bool is_ipv6_char(char c) {
    return is_hex(c) || c == ':' || c == '.';
}

// One look for each character in place of several comparisons.
constexpr auto kNameChars = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0; c < table.size(); ++c) table[c] = is_name_char(static_cast<char>(c));
    return table;
}();

bool is_name(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return kNameChars[static_cast<unsigned char>(c)]; });
}

bool is_port(std::string_view text) {
    constexpr unsigned kMost = 65535;
    unsigned port = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = std::min(10 * port + static_cast<unsigned>(c - '0'), kMost + 1);
    }
    return port >= 1 && port <= kMost;
}

// "http://" or "https://" off the front.
bool strip_scheme(std::string_view& target) {
    for (const std::string_view scheme : {"http://", "https://"})
        if (equals_ignoring_case(target.substr(0, scheme.size()), scheme)) {
            target.remove_prefix(scheme.size());
            return true;
        }
    return false;
}

void split_origin(RequestHead& head, std::string_view origin) {
    head.origin = origin;
    const std::size_t question = origin.find('?');
    head.path = origin.substr(0, question);
    head.query = question == std::string_view::npos ? std::string_view() : origin.substr(question + 1);
    if (head.path.empty()) head.path = "/";
}

// absolute-form, §3.2.2. Its authority wins over Host.
Result read_absolute(RequestHead& head) {
    std::string_view rest = head.target;
    if (!strip_scheme(rest)) return refuse("the target is neither a path nor an http URI");
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    head.authority = rest.substr(0, end);
    head.host = host_of(head.authority);
    if (head.host.empty()) return refuse("the target's authority is malformed");
    split_origin(head, rest.substr(end));
    // §3.2.4: OPTIONS for a server as a whole.
    if (head.method == Method::options && head.origin.empty()) head.origin = head.path = "*";
    return {};
}

// §3.2: one Host, always in HTTP/1.1, and well-formed.
Result read_host(RequestHead& head) {
    const Field* field = head.fields.has(FieldId::host) ? head.fields.find(FieldId::host) : nullptr;
    if (!field) return head.minor == 0 ? Result() : refuse("no Host");
    if (head.fields.count(FieldId::host) > 1) return refuse("more than one Host");
    head.authority = field->value;
    head.host = host_of(field->value);
    return head.host.empty() ? refuse("Host is malformed") : Result();
}

}  // namespace

std::string_view host_of(std::string_view authority) {
    std::size_t size;
    if (authority.starts_with('[')) {
        size = authority.find(']') + 1;
        if (size < 4 || !std::ranges::all_of(authority.substr(1, size - 2), is_ipv6_char)) return {};
    } else {
        size = std::min(authority.find(':'), authority.size());
        if (!is_name(authority.substr(0, size))) return {};
    }
    const std::string_view behind = authority.substr(size);
    if (!behind.empty() && (behind.front() != ':' || !is_port(behind.substr(1)))) return {};
    return authority.substr(0, size);
}

Result read_target(RequestHead& head) {
    if (!std::ranges::all_of(head.target, is_target_char))
        return refuse("the target holds a character that no URI has");
    if (const auto host = read_host(head); !host) return host;
    if (head.target.starts_with('/')) {
        split_origin(head, head.target);
        return {};
    }
    if (head.target == "*" && head.method == Method::options) {
        head.origin = head.path = head.target;
        return {};
    }
    return read_absolute(head);
}

}  // namespace sluice::http
