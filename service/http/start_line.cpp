#include "service/http/start_line.h"

#include <algorithm>

#include "service/http/text.h"

namespace sluice::http {

namespace {

constexpr std::size_t kVersionSize = std::string_view("HTTP/1.1").size();

// The minor version, as far as we know any: 1.2 and above are read as 1.1 (RFC 9110 §2.5).
std::expected<int, Refusal> read_version(std::string_view text) {
    if (text.size() != kVersionSize || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
        !is_digit(text[7]))
        return std::unexpected(Refusal{400, "the HTTP version is malformed"});
    if (text[5] != '1') return std::unexpected(Refusal{505, "the HTTP version is not 1.x"});
    return text[7] == '0' ? 0 : 1;
}

Method method_of(std::string_view text) {
    switch (text.size()) {
        case 3: return text == "GET" ? Method::get : text == "PUT" ? Method::put : Method::other;
        case 4: return text == "POST" ? Method::post : text == "HEAD" ? Method::head : Method::other;
        case 5: return text == "PATCH" ? Method::patch : text == "TRACE" ? Method::trace : Method::other;
        case 6: return text == "DELETE" ? Method::delete_ : Method::other;
        case 7: return text == "OPTIONS" ? Method::options : Method::other;
        default: return Method::other;
    }
}

constexpr bool is_reason_char(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

std::expected<void, Refusal> read_request_line(std::string_view line, RequestHead& head) {
    const std::size_t first = line.find(' ');
    const std::size_t last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return std::unexpected(Refusal{400, "the request line is malformed"});
    const std::string_view method = line.substr(0, first);
    if (!is_token(method)) return std::unexpected(Refusal{400, "the method is not a token"});
    const auto minor = read_version(line.substr(last + 1));
    if (!minor) return std::unexpected(minor.error());

    head.method = method_of(method);
    head.method_text = method;
    head.target = line.substr(first + 1, last - first - 1);
    head.minor = *minor;
    return {};
}

std::expected<void, Refusal> read_status_line(std::string_view line, ResponseHead& head) {
    const auto minor = read_version(line.substr(0, kVersionSize));
    if (!minor) return std::unexpected(minor.error());
    const std::string_view rest = line.substr(kVersionSize);
    const bool well_formed = rest.size() >= 4 && rest[0] == ' ' && rest[1] >= '1' && rest[1] <= '9' &&
                             is_digit(rest[2]) && is_digit(rest[3]) && (rest.size() == 4 || rest[4] == ' ');
    if (!well_formed) return std::unexpected(Refusal{400, "the status line is malformed"});

    head.status = (rest[1] - '0') * 100 + (rest[2] - '0') * 10 + (rest[3] - '0');
    head.reason = rest.substr(std::min<std::size_t>(rest.size(), 5));
    head.minor = *minor;
    if (!std::ranges::all_of(head.reason, is_reason_char))
        return std::unexpected(Refusal{400, "the reason holds a control character"});
    return {};
}

}  // namespace sluice::http
