#include "service/admin/request.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "service/http/reply.h"

namespace sluice::admin {

std::string_view Request::field(std::string_view name) const {
    const http::Field* const found = fields ? fields->find(name) : nullptr;
    return found ? found->value : std::string_view();
}

std::optional<std::string> Request::parameter(std::string_view name) const {
    std::string_view rest = query;
    while (!rest.empty()) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        const std::size_t equals = pair.find('=');
        if (percent_decoded(pair.substr(0, equals), true) != name) continue;
        return equals == pair.npos ? std::string() : percent_decoded(pair.substr(equals + 1), true);
    }
    return std::nullopt;
}

std::vector<std::string> Request::parameters(std::string_view name) const {
    std::vector<std::string> values;
    Request rest;
    for (std::string_view left = query; !left.empty();) {
        rest.query = left.substr(0, left.find('&'));
        left.remove_prefix(std::min(rest.query.size() + 1, left.size()));
        if (auto value = rest.parameter(name)) values.push_back(std::move(*value));
    }
    return values;
}

std::optional<std::string> Request::other_parameter(std::span<const std::string_view> known) const {
    for (std::string_view rest = query; !rest.empty();) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        if (pair.empty()) continue;
        const std::string_view written = pair.substr(0, pair.find('='));
        std::string name = percent_decoded(written, true).value_or(std::string(written));
        if (std::ranges::find(known, name) == known.end()) return name;
    }
    return std::nullopt;
}

Response problem(unsigned status, std::string_view detail) {
    const nlohmann::ordered_json body = {{"type", "about:blank"},
                                         {"title", http::reason_phrase(static_cast<int>(status))},
                                         {"status", status},
                                         {"detail", detail}};
    return {.status = status,
            .content_type = "application/problem+json",
            .body = body.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"};
}

std::optional<std::string> percent_decoded(std::string_view text, bool plus) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            decoded += plus && text[i] == '+' ? ' ' : text[i];
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        unsigned char byte = 0;
        const char* const digits = text.data() + i + 1;
        if (std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) return std::nullopt;
        decoded += static_cast<char>(byte);
        i += 2;
    }
    return decoded;
}

}  // namespace sluice::admin
