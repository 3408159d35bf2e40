#include "service/admin/request.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "service/admin/json_body.h"
#include "service/http/reply.h"

namespace sluice::admin {

namespace {

std::string listed(std::span<const std::string_view> names) {
    if (names.empty()) return "is none";
    std::string text = names.size() == 1 ? "is only " : "are ";
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i > 0) text += i + 1 < names.size() ? ", " : " and ";
        text += names[i];
    }
    return text;
}

}  // namespace

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

std::optional<std::string> Request::wrong_parameter(std::span<const std::string_view> known) const {
    const auto name_of = [](std::string_view shown) { return shown.substr(0, shown.find('=')); };
    for (std::string_view rest = query; !rest.empty();) {
        const std::string_view pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
        if (pair.empty()) continue;
        const std::string_view written = name_of(pair);
        const auto name = percent_decoded(written, true);
        if (!percent_decoded(pair, true))
            return "the parameter \"" + std::string(written) + "\" is badly encoded";
        if (std::ranges::find(known, *name, name_of) == known.end())
            return "there is no parameter \"" + *name + "\" here; there " + listed(known);
    }
    return std::nullopt;
}

Response problem(unsigned status, std::string_view detail, std::span<const std::string> errors) {
    const auto body = [&](JsonObject& out) {
        out.add({{"type", "about:blank"},
                 {"title", http::reason_phrase(static_cast<int>(status))},
                 {"status", status},
                 {"detail", detail}});
        if (!errors.empty()) out.add("errors", config::each(errors, std::identity()));
    };
    return {.status = status, .content_type = "application/problem+json", .body = body_of(body)};
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
