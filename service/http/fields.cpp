#include "service/http/fields.h"

#include <algorithm>
#include <optional>

#include "service/http/text.h"

namespace sluice::http {

namespace {

struct Known {
    std::string_view name;
    FieldId id;
};

// Sorted by length: few names share one, so that nearly every name is told by one comparison.
constexpr auto kKnown = [] {
    std::array known{
        Known{"authorization", FieldId::authorization},
        Known{"connection", FieldId::connection},
        Known{"content-length", FieldId::content_length},
        Known{"cookie", FieldId::cookie},
        Known{"date", FieldId::date},
        Known{"expect", FieldId::expect},
        Known{"forwarded", FieldId::forwarded},
        Known{"host", FieldId::host},
        Known{"http2-settings", FieldId::http2_settings},
        Known{"keep-alive", FieldId::keep_alive},
        Known{"proxy-authenticate", FieldId::proxy_authenticate},
        Known{"proxy-authentication-info", FieldId::proxy_authentication_info},
        Known{"proxy-authorization", FieldId::proxy_authorization},
        Known{"proxy-connection", FieldId::proxy_connection},
        Known{"ratelimit", FieldId::ratelimit},
        Known{"ratelimit-policy", FieldId::ratelimit_policy},
        Known{"referer", FieldId::referer},
        Known{"retry-after", FieldId::retry_after},
        Known{"server", FieldId::server},
        Known{"te", FieldId::te},
        Known{"trailer", FieldId::trailer},
        Known{"transfer-encoding", FieldId::transfer_encoding},
        Known{"upgrade", FieldId::upgrade},
        Known{"user-agent", FieldId::user_agent},
        Known{"via", FieldId::via},
        Known{"x-forwarded-for", FieldId::x_forwarded_for},
        Known{"x-forwarded-host", FieldId::x_forwarded_host},
        Known{"x-forwarded-proto", FieldId::x_forwarded_proto},
        Known{"x-ratelimit-limit", FieldId::x_ratelimit_limit},
        Known{"x-ratelimit-remaining", FieldId::x_ratelimit_remaining},
        Known{"x-ratelimit-reset", FieldId::x_ratelimit_reset},
        Known{"x-real-ip", FieldId::x_forwarded},
        Known{"x-request-id", FieldId::x_request_id},
    };
    std::ranges::sort(known, {}, [](const Known& k) { return k.name.size(); });
    return known;
}();

constexpr std::size_t kLongest = kKnown.back().name.size();

// The first of kKnown that is at least as long as the index.
constexpr auto kFirstOfLength = [] {
    std::array<std::uint8_t, kLongest + 2> first{};
    for (std::size_t length = 0; length < first.size(); ++length)
        first[length] = static_cast<std::uint8_t>(
            std::ranges::lower_bound(kKnown, length, {}, [](const Known& k) { return k.name.size(); }) -
            kKnown.begin());
    return first;
}();

// Setting one bit lowers a letter, and maps no other token character onto a letter, a digit or a hyphen.
bool matches(std::string_view name, std::string_view known) {
    for (std::size_t i = 0; i < known.size(); ++i)
        if ((name[i] | 0x20) != known[i]) return false;
    return true;
}

FieldId identify_exactly(std::string_view name) {
    if (name.size() > kLongest) return FieldId::other;
    for (std::size_t at = kFirstOfLength[name.size()]; at < kFirstOfLength[name.size() + 1]; ++at)
        if (matches(name, kKnown[at].name)) return kKnown[at].id;
    return FieldId::other;
}

constexpr std::string_view kForwardedPrefix = "x-forwarded-";

bool is_x_forwarded(std::string_view name) {
    return name.size() > kForwardedPrefix.size() && matches(name, kForwardedPrefix);
}

// What a gateway that turns names into environment variables would make of it: CGI and WSGI do not tell `_`
// from `-`.
FieldId identify_as_variable(std::string_view name) {
    std::array<char, 64> dashed;
    if (name.size() > dashed.size()) return FieldId::other;
    std::ranges::replace_copy(name, dashed.begin(), '_', '-');
    const std::string_view as{dashed.data(), name.size()};
    if (const FieldId id = identify_exactly(as); id != FieldId::other) return id;
    return is_x_forwarded(as) ? FieldId::x_forwarded : FieldId::other;
}

// Fields of ours whose look-alike would be believed.
constexpr FieldSet kImitable{
    FieldId::connection,        FieldId::content_length, FieldId::forwarded,       FieldId::host,
    FieldId::transfer_encoding, FieldId::x_forwarded,    FieldId::x_forwarded_for, FieldId::x_forwarded_host,
    FieldId::x_forwarded_proto, FieldId::x_request_id};

}  // namespace

FieldId identify(std::string_view name) {
    if (const FieldId id = identify_exactly(name); id != FieldId::other) return id;
    if (is_x_forwarded(name)) return FieldId::x_forwarded;
    if (name.find('_') != std::string_view::npos && kImitable.contains(identify_as_variable(name)))
        return FieldId::lookalike;
    return FieldId::other;
}

const Field* Fields::find(FieldId id) const {
    const Field* found = std::ranges::find(*this, id, &Field::id);
    return found == end() ? nullptr : found;
}

const Field* Fields::find(std::string_view name) const {
    const Field* found =
        std::ranges::find_if(*this, [&](const Field& f) { return equals_ignoring_case(f.name, name); });
    return found == end() ? nullptr : found;
}

bool passes_for(std::string_view name, std::string_view known) {
    return std::ranges::equal(name, known,
                              [](char a, char b) { return lower(a) == lower(b) || (a == '_' && b == '-'); });
}

void Fields::pass_on(std::string_view name, bool on) {
    for (Field& field : all()) {
        if (!passes_for(field.name, name)) continue;
        field.hop = !(on && equals_ignoring_case(field.name, name));
    }
}

std::size_t Fields::count(FieldId id) const {
    return has(id) ? static_cast<std::size_t>(std::ranges::count(*this, id, &Field::id)) : 0;
}

}  // namespace sluice::http
