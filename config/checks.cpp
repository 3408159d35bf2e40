#include "config/checks.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "config/quote.h"

namespace sluice::config {
namespace {

constexpr std::size_t kLongestName = 128;

bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool is_visible(char c) {
    return c > 0x20 && c < 0x7F;
}

bool is_host_letter(char c) {
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool is_host(std::string_view text) {
    if (text.starts_with('[')) return text.size() > 2 && text.ends_with(']') && text.find(':') != text.npos;
    return !text.empty() && std::all_of(text.begin(), text.end(), is_host_letter);
}

// What stands before the port, if there is one and the rest is a host.
std::string_view without_port(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) return {};
    const std::string_view port = text.substr(colon + 1);
    const bool digits = port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
    return digits && is_host(text.substr(0, colon)) ? text.substr(0, colon) : std::string_view{};
}

std::string percent_encoded(std::string_view text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (is_visible(c)) {
            out += c;
        } else {
            out += {'%', hex[byte >> 4], hex[byte & 15]};
        }
    }
    return out;
}

}  // namespace

bool same_ignoring_case(std::string_view one, std::string_view other) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
    return std::ranges::equal(one, other, {}, lower, lower);
}

Complaint wrong_name(const std::string& text) {
    if (text.empty()) return "a name is not empty";
    if (text.size() > kLongestName) return quote(text) + " is too long for a name (at most 128 characters)";
    const bool printable =
        std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    if (!printable) return quote(text) + " is not a name (printable ASCII characters)";
    return std::nullopt;
}

bool is_token(std::string_view text) {
    const auto letter = [](char c) {
        return is_alnum(c) || (c && std::string_view("!#$%&'*+-.^_`|~").contains(c));
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), letter);
}

Complaint wrong_field_name(std::string_view text) {
    if (is_token(text)) return std::nullopt;
    return quote(text) + " is not the name of a header (letters, digits and hyphens, such as \"X-Api-Key\")";
}

Complaint wrong_field_value(std::string_view text) {
    const auto bad = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F; };
    if (std::any_of(text.begin(), text.end(), bad)) return quote(text) + " holds control characters";
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    if (!text.empty() && (blank(text.front()) || blank(text.back())))
        return quote(text) + " begins or ends with a blank, which a header's value never does";
    return std::nullopt;
}

Complaint wrong_method(const std::string& text) {
    static constexpr std::array<std::string_view, 9> kUsual{"GET",     "HEAD",  "POST",    "PUT",  "DELETE",
                                                            "OPTIONS", "PATCH", "CONNECT", "TRACE"};
    std::string upper = text;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (upper != text && std::find(kUsual.begin(), kUsual.end(), upper) != kUsual.end())
        return quote(text) + " is not a method (upper and lower case differ; did you mean " + quote(upper) +
               "?)";
    if (!is_token(text)) return quote(text) + " is not a method (such as \"GET\")";
    return std::nullopt;
}

Complaint wrong_host(const std::string& text) {
    if (is_host(text)) return std::nullopt;
    std::string why = "such as \"api.example.com\"; it is compared as a whole";
    if (const auto host = without_port(text); !host.empty())
        why = "without the port; did you mean " + quote(host) + "?";
    return quote(text) + " is not a host (" + why + ")";
}

Complaint wrong_authority(const std::string& text) {
    if (is_host(text) || !without_port(text).empty()) return std::nullopt;
    return quote(text) + R"( is not "preserve", "upstream" or a host (such as "app.example.com"))";
}

Complaint wrong_path(const std::string& text) {
    if (text.empty()) return "a path is not empty (leave it out to match every path)";
    if (text == "*") return std::nullopt;  // of OPTIONS *
    if (text[0] != '/')
        return quote(text) + " is not a path (it begins with \"/\"; did you mean " + quote("/" + text) + "?)";
    if (!std::all_of(text.begin(), text.end(), is_visible))
        return quote(text) + " is never sent (paths are escaped; did you mean " +
               quote(percent_encoded(text)) + "?)";
    const auto end = text.find_first_of("?#");
    if (end != std::string::npos)
        return quote(text) + " never matches (paths are compared without the query; did you mean " +
               quote(text.substr(0, end)) + "?)";
    return std::nullopt;
}

Complaint wrong_path_of_rule(const std::string& text) {
    if (auto wrong = wrong_path(text)) return wrong;
    if (text == "*" || !text.ends_with('*')) return std::nullopt;
    const std::string before = text.substr(0, text.find_last_not_of('*') + 1);
    return quote(text) +
           " has no wildcard: the star is a character (for what begins so, write \"path_prefix\": " +
           quote(before) + "; for the star itself " + quote(text.substr(0, text.size() - 1) + "%2A") + ")";
}

Complaint wrong_strip_prefix(const std::string& text) {
    if (text.empty() || text == "/") return quote(text) + R"( strips nothing (such as "/api"))";
    if (auto wrong = wrong_path(text)) return wrong;
    if (text.ends_with('*') || text.ends_with('/')) {
        const std::string segments = text.substr(0, text.find_last_not_of("/*") + 1);
        return quote(text) +
               " is not a prefix to strip (whole segments, without the last \"/\"; did you mean " +
               quote(segments.empty() ? "/api" : segments) + "?)";
    }
    return std::nullopt;
}

Complaint wrong_target(const std::string& text) {
    if (!text.starts_with('/'))
        return quote(text) + R"( is not a path to ask for (it begins with "/", such as "/healthz"))";
    const bool sendable = std::all_of(text.begin(), text.end(), is_visible);
    if (sendable && text.find('#') == std::string::npos) return std::nullopt;
    return quote(text) + " cannot be sent (no blanks, no \"#\"; did you mean " +
           quote(percent_encoded(text.substr(0, text.find('#')))) + "?)";
}

Complaint wrong_admin_token(const std::string& text) {
    if (std::all_of(text.begin(), text.end(), is_visible)) return std::nullopt;
    return "a token is visible ASCII characters without blanks";  // not quoted: it is a secret
}

Complaint wrong_content_type(const std::string& text) {
    const auto slash = text.find('/');
    const auto end = text.find(';');
    const bool type = slash != std::string::npos && is_token(text.substr(0, slash)) &&
                      is_token(text.substr(slash + 1, text.substr(0, end).find_last_not_of(' ') - slash));
    if (!type) return quote(text) + R"( is not a media type (such as "text/html; charset=utf-8"))";
    return wrong_field_value(text);
}

Complaint wrong_redis_url(const std::string& text) {
    for (const std::string_view scheme : {"redis://", "rediss://", "redis+sentinel://", "redis+cluster://"}) {
        if (text.starts_with(scheme) && text.size() > scheme.size() &&
            std::all_of(text.begin(), text.end(), is_visible))
            return std::nullopt;
    }
    // Not quoted: it may hold a password.
    return R"(not the URL of a Redis ("redis://HOST:PORT/DB", "rediss://…", "redis+sentinel://…" or "redis+cluster://…"))";
}

Complaint wrong_file(const std::string& text) {
    if (!text.empty() && text.find('\0') == std::string::npos) return std::nullopt;
    return quote(text) + " is not the name of a file";
}

}  // namespace sluice::config
