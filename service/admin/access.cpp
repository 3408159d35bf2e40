#include "service/admin/access.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::admin {
namespace {

// `text` after the scheme and its space; the scheme's case does not matter (RFC 9110 §11.1).
std::optional<std::string_view> after_scheme(std::string_view text, std::string_view scheme) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    if (text.size() <= scheme.size() || text[scheme.size()] != ' ') return std::nullopt;
    if (!std::ranges::equal(text.substr(0, scheme.size()), scheme, {}, lower, lower)) return std::nullopt;
    text.remove_prefix(scheme.size());
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    return text;
}

// RFC 4648 §4. nullopt: not base64.
std::optional<std::string> base64_decoded(std::string_view text) {
    static constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    while (text.ends_with('=')) text.remove_suffix(1);
    std::string decoded;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const std::size_t value = kAlphabet.find(c);
        if (value == kAlphabet.npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) decoded += static_cast<char>(bits >> (count -= 8) & 0xff);
    }
    return decoded;
}

}  // namespace

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
    unsigned difference = a.size() != b.size();
    for (std::size_t i = 0; i < a.size(); ++i) {
        // Through a volatile, so that no compiler makes it stop at the first difference.
        const volatile unsigned char other = static_cast<unsigned char>(i < b.size() ? b[i] : 0);
        difference |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ other);
    }
    return difference == 0;
}

bool authorized(std::string_view authorization, std::string_view token) {
    if (const auto bearer = after_scheme(authorization, "Bearer"))
        return equal_in_constant_time(*bearer, token);
    if (const auto basic = after_scheme(authorization, "Basic")) {
        const auto pair = base64_decoded(*basic);
        const std::size_t colon = pair ? pair->find(':') : std::string::npos;
        return colon != std::string::npos &&
               equal_in_constant_time(std::string_view(*pair).substr(colon + 1), token);
    }
    return false;
}

bool from_elsewhere(std::string_view origin, std::string_view host) {
    if (origin.empty()) return false;  // not from a page
    const std::size_t scheme = origin.find("://");
    return scheme == origin.npos || origin.substr(scheme + 3) != host;
}

bool may_be_rebound(std::string_view host) {
    if (host.starts_with('[')) return false;
    host = host.substr(0, host.find(':'));
    const bool local = host == "localhost" || host.ends_with(".localhost");
    return !local && host.find_first_not_of("0123456789.") != host.npos;
}

}  // namespace sluice::admin
