#include "service/policy/key.h"

#include <charconv>

namespace sluice::policy {

namespace {

std::string_view name_of(config::KeyKind kind) {
    switch (kind) {
        case config::KeyKind::ip: return "ip";
        case config::KeyKind::global: return "global";
        case config::KeyKind::host: return "host";
        case config::KeyKind::method: return "method";
        case config::KeyKind::path: return "path";
        case config::KeyKind::route: return "route";
        case config::KeyKind::header: return "header:";
        case config::KeyKind::cookie: return "cookie:";
        case config::KeyKind::query: return "query:";
    }
    return "";
}

std::string describe(const std::vector<config::KeyPart>& parts) {
    std::string text;
    for (const auto& part : parts) {
        if (!text.empty()) text += '+';
        text.append(name_of(part.kind)).append(part.name);
    }
    return text;
}

limit::Prefixes prefixes_of(const config::Limit& limit, const config::Client& client) {
    return {static_cast<std::uint8_t>(limit.ipv4_prefix.value_or(client.ipv4_prefix)),
            static_cast<std::uint8_t>(limit.ipv6_prefix.value_or(client.ipv6_prefix))};
}

std::string_view bytes_of(const limit::ClientKey& key) {
    return {reinterpret_cast<const char*>(key.bytes().data()), key.bytes().size()};
}

/// Hosts are compared in lower case; a longer one than this is no name.
struct LowerCase {
    explicit LowerCase(std::string_view text) : size(std::min(text.size(), sizeof room)) {
        for (std::size_t i = 0; i < size; ++i)
            room[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
    }
    std::string_view view() const { return {room, size}; }

    char room[256];
    std::size_t size;
};

}  // namespace

std::optional<std::string_view> cookie(const http::Fields& fields, std::string_view name) {
    if (!fields.has(http::FieldId::cookie)) return std::nullopt;
    for (const http::Field& field : fields) {
        if (field.id != http::FieldId::cookie) continue;
        for (std::string_view rest = field.value; !rest.empty();) {
            const std::size_t end = rest.find(';');
            std::string_view pair = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
            while (pair.starts_with(' ')) pair.remove_prefix(1);
            if (pair.size() > name.size() && pair[name.size()] == '=' && pair.starts_with(name))
                return pair.substr(name.size() + 1);
        }
    }
    return std::nullopt;
}

std::optional<std::string_view> query_parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
        if (pair.starts_with(name) && (pair.size() == name.size() || pair[name.size()] == '='))
            return pair.size() == name.size() ? std::string_view() : pair.substr(name.size() + 1);
    }
    return std::nullopt;
}

KeyMaker::KeyMaker(const config::Limit& limit, const config::Client& client,
                   const limit::DigestSecret& secret)
    : parts_(limit.key),
      missing_(limit.missing),
      prefixes_(prefixes_of(limit, client)),
      secret_(secret),
      description_(describe(limit.key)) {}

std::optional<limit::ClientKey> KeyMaker::make(const Request& request, std::size_t route) const {
    const auto address = [&] { return limit::ClientKey::of_address(request.client, prefixes_); };
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::ip) return address();
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::global) return limit::ClientKey::global();

    limit::Digest digest(secret_);
    for (const config::KeyPart& part : parts_) {
        std::optional<std::string_view> value;
        switch (part.kind) {
            case config::KeyKind::ip: digest.add(bytes_of(address())); continue;
            case config::KeyKind::global: continue;
            case config::KeyKind::host: digest.add(LowerCase(request.head.host).view()); continue;
            case config::KeyKind::method: digest.add(request.head.method_text); continue;
            case config::KeyKind::path: digest.add(request.head.path); continue;
            case config::KeyKind::route:
                digest.add({reinterpret_cast<const char*>(&route), sizeof route});
                continue;
            case config::KeyKind::header:
                if (const http::Field* field = request.head.fields.find(part.name)) value = field->value;
                break;
            case config::KeyKind::cookie: value = cookie(request.head.fields, part.name); break;
            case config::KeyKind::query: value = query_parameter(request.head.query, part.name); break;
        }
        if (!value && missing_ == config::Missing::skip) return std::nullopt;
        if (!value) return address();
        digest.add(*value);
    }
    return digest.finish();
}

}  // namespace sluice::policy
