#include "service/policy/key.h"

#include <algorithm>
#include <functional>

#include "service/http/path.h"
#include "service/http/text.h"
#include "service/policy/identify.h"

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

bool decode_to_same(std::string_view a, std::string_view b, bool form) {
    http::Unescaped left(a, form), right(b, form);
    for (;;) {
        const int byte = left();
        if (byte != right()) return false;
        if (byte < 0) return true;
    }
}

/// One more value under the name. False: another than those before.
bool merge(NamedValue& all, std::string_view value, auto&& same) {
    if (all.found == NamedValue::Found::one && !same(all.text, value))
        all.found = NamedValue::Found::several;
    else
        all = {value, NamedValue::Found::one};
    return all.found == NamedValue::Found::one;
}

NamedValue header(const http::Fields& fields, std::string_view name) {
    NamedValue all;
    for (const http::Field& field : fields)
        if (http::equals_ignoring_case(field.name, name) && !merge(all, field.value, std::equal_to<>()))
            break;
    return all;
}

}  // namespace

// RFC 6265 has no escapes in values; applications undo those of URIs and a pair of quotes, some a backslash
// within quotes, too: what is to be read in several ways is several.
NamedValue cookie(const http::Fields& fields, std::string_view name) {
    NamedValue all;
    if (!fields.has(http::FieldId::cookie)) return all;
    for (const http::Field& field : fields) {
        if (field.id != http::FieldId::cookie) continue;
        for (std::string_view rest = field.value; !rest.empty();) {
            const std::size_t end = rest.find(';');
            const std::string_view pair = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
            const std::size_t equals = pair.find('=');
            if (equals == std::string_view::npos || http::trimmed(pair.substr(0, equals)) != name) continue;
            std::string_view value = http::trimmed(pair.substr(equals + 1));
            if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) {
                value = value.substr(1, value.size() - 2);
                if (value.contains('\\')) return {value, NamedValue::Found::several};
            }
            if (!merge(all, value, [](auto a, auto b) { return decode_to_same(a, b, false); })) return all;
        }
    }
    return all;
}

NamedValue query_parameter(std::string_view query, std::string_view name) {
    NamedValue all;
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
        if (pair.empty()) continue;
        const std::size_t equals = std::min(pair.find('='), pair.size());
        if (!decodes_to(pair.substr(0, equals), name)) continue;
        const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
        if (!merge(all, value, [](auto a, auto b) { return decode_to_same(a, b, true); })) break;
    }
    return all;
}

KeyMaker::KeyMaker(const config::Limit& limit, const config::Client& client,
                   const limit::DigestSecret& secret)
    : parts_(limit.key),
      missing_(limit.missing),
      prefixes_(prefixes_of(limit, client)),
      secret_(secret),
      description_(describe(limit.key)) {}

bool KeyMaker::may_be_address() const {
    using enum config::KeyKind;
    const auto named = [](const config::KeyPart& part) {
        return part.kind == header || part.kind == cookie || part.kind == query;
    };
    return (parts_.size() == 1 && parts_[0].kind == ip) || std::ranges::any_of(parts_, named);
}

limit::ClientKey KeyMaker::address_key(const limit::Address& client) const {
    if (client == kNoAddress) [[unlikely]]
        return limit::ClientKey::of_unix_peers();
    return limit::ClientKey::of_address(client, prefixes_);
}

std::optional<limit::ClientKey> KeyMaker::make(const Request& request, std::uint64_t route) const {
    const auto address = [&] { return address_key(request.client); };
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::ip) return address();
    if (parts_.size() == 1 && parts_[0].kind == config::KeyKind::global) return limit::ClientKey::global();

    limit::Digest digest(secret_);
    using Found = NamedValue::Found;
    for (const config::KeyPart& part : parts_) {
        NamedValue named{{}, Found::one};
        switch (part.kind) {
            case config::KeyKind::ip: digest.add(bytes_of(address().bytes())); break;
            case config::KeyKind::global: break;
            case config::KeyKind::host: add_host(request.head.host, digest); break;
            case config::KeyKind::method: digest.add(request.head.method_text); break;
            case config::KeyKind::path: digest.add(request.path()); break;
            case config::KeyKind::route: digest.add(bytes_of(route)); break;
            case config::KeyKind::header:
                named = header(request.head.fields, part.name);
                if (named.found == Found::one) digest.add(named.text);
                break;
            case config::KeyKind::cookie:
                named = cookie(request.head.fields, part.name);
                if (named.found == Found::one) digest.add_each(http::Unescaped(named.text));
                break;
            case config::KeyKind::query:
                named = query_parameter(request.head.query, part.name);
                if (named.found == Found::one) digest.add_each(http::Unescaped(named.text, true));
                break;
        }
        if (named.found == Found::one) continue;
        if (named.found == Found::none && missing_ == config::Missing::skip) return std::nullopt;
        return address();
    }
    return digest.finish();
}

}  // namespace sluice::policy
