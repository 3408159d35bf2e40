#include "service/policy/key.h"

#include <algorithm>

#include "service/http/path.h"
#include "service/http/text.h"

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

template <class T>
std::string_view bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// Whoever spells a name or a value differently is still counted under it.
bool decodes_to(std::string_view text, std::string_view name) {
    http::Unescaped decoded(text, true);
    for (const char c : name)
        if (decoded() != static_cast<unsigned char>(c)) return false;
    return decoded() < 0;
}

/// Hosts are the same in any case, and with the dot of the root.
void add_host(std::string_view host, limit::Digest& digest) {
    if (host.ends_with('.')) host.remove_suffix(1);
    digest.add_each([&, at = std::size_t{0}]() mutable {
        return at == host.size() ? -1 : static_cast<unsigned char>(http::lower(host[at++]));
    });
}

/// All lines of a field are its value, and their number goes first: two fields are told apart by it.
bool add_header(const http::Fields& fields, std::string_view name, limit::Digest& digest) {
    const auto named = [name](const http::Field& field) {
        return http::equals_ignoring_case(field.name, name);
    };
    const auto lines = static_cast<std::size_t>(std::count_if(fields.begin(), fields.end(), named));
    if (lines == 0) return false;
    digest.add(bytes_of(lines));
    for (const http::Field& field : fields)
        if (named(field)) digest.add(field.value);
    return true;
}

}  // namespace

std::optional<std::string_view> cookie(const http::Fields& fields, std::string_view name) {
    if (!fields.has(http::FieldId::cookie)) return std::nullopt;
    for (const http::Field& field : fields) {
        if (field.id != http::FieldId::cookie) continue;
        for (std::string_view rest = field.value; !rest.empty();) {
            const std::size_t end = rest.find(';');
            const std::string_view pair = http::trimmed(rest.substr(0, end));
            rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
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
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (decodes_to(pair.substr(0, equals), name)) return pair.substr(std::min(equals + 1, pair.size()));
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

std::optional<limit::ClientKey> KeyMaker::make(const Request& request, std::uint64_t route) const {
    const auto address = [&] { return limit::ClientKey::of_address(request.client, prefixes_); };
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::ip) return address();
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::global) return limit::ClientKey::global();

    limit::Digest digest(secret_);
    for (const config::KeyPart& part : parts_) {
        bool there = true;
        switch (part.kind) {
            case config::KeyKind::ip: digest.add(bytes_of(address().bytes())); break;
            case config::KeyKind::global: break;
            case config::KeyKind::host: add_host(request.head.host, digest); break;
            case config::KeyKind::method: digest.add(request.head.method_text); break;
            case config::KeyKind::path: digest.add(request.path()); break;
            case config::KeyKind::route: digest.add(bytes_of(route)); break;
            case config::KeyKind::header: there = add_header(request.head.fields, part.name, digest); break;
            case config::KeyKind::cookie:
                if (const auto value = cookie(request.head.fields, part.name); (there = value.has_value()))
                    digest.add(*value);
                break;
            case config::KeyKind::query:
                if (const auto value = query_parameter(request.head.query, part.name);
                    (there = value.has_value()))
                    digest.add_each(http::Unescaped(*value, true));
                break;
        }
        if (there) continue;
        if (missing_ == config::Missing::skip) return std::nullopt;
        return address();
    }
    return digest.finish();
}

}  // namespace sluice::policy
