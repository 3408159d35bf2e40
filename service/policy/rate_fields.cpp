#include "service/policy/rate_fields.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "service/http/writer.h"
#include "service/policy/structured_list.h"

namespace sluice::policy {

namespace {

constexpr limit::Nanos kSecond = 1'000'000'000;

constexpr http::FieldSet kStandard{http::FieldId::ratelimit, http::FieldId::ratelimit_policy};
constexpr http::FieldSet kLegacy{http::FieldId::x_ratelimit_limit, http::FieldId::x_ratelimit_remaining,
                                 http::FieldId::x_ratelimit_reset};

std::uint64_t as_integer(std::uint64_t n) {
    return std::min(n, kStructuredIntegerMax);
}

void write_policies(const Verdict& verdict, http::Writer& to) {
    std::string_view before = "RateLimit-Policy: ";
    for (const Applied& each : verdict.applied()) {
        if (each.limit->shadow) continue;
        to << before << each.limit->policy_item;
        before = ", ";
    }
    to << "\r\n";
}

void write_standard(const Applied& nearest, http::Writer& to) {
    to << "RateLimit: " << nearest.limit->quoted_name << ";r=" << as_integer(nearest.answer.remaining);
    if (nearest.answer.next_token > 0) to << ";t=" << whole_seconds(nearest.answer.next_token);
    to << "\r\n";
}

void write_legacy(const Applied& nearest, http::Writer& to) {
    to << "X-RateLimit-Limit: " << nearest.limit->rule.quota()
       << "\r\nX-RateLimit-Remaining: " << nearest.answer.remaining
       << "\r\nX-RateLimit-Reset: " << whole_seconds(nearest.answer.next_token) << "\r\n";
}

/// The least `r` of all RateLimit lines; nullopt: they are not what the draft asks for.
std::optional<std::uint64_t> least_remaining(const http::Fields& fields) {
    std::optional<std::uint64_t> least;
    for (const http::Field& field : fields) {
        if (field.id != http::FieldId::ratelimit) continue;
        const auto remaining = least_parameter(field.value, "r");
        if (!remaining) return std::nullopt;
        least = std::min(least.value_or(*remaining), *remaining);
    }
    return least;
}

std::optional<std::uint64_t> legacy_remaining(const http::Fields& fields) {
    const std::string_view text = fields.value(http::FieldId::x_ratelimit_remaining);
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

std::uint64_t whole_seconds(limit::Nanos time) {
    return static_cast<std::uint64_t>(time / kSecond + (time % kSecond > 0));
}

std::uint64_t seconds_until_admitted(const Applied& refused, limit::Nanos held) {
    const limit::Nanos wait = refused.answer.retry_after;
    const bool never = is_never_admitted(refused);
    return std::max(std::uint64_t{1}, never ? refused.limit->rule.window_seconds()
                                            : whole_seconds(wait - std::min(wait, held)));
}

std::uint64_t retry_after_seconds(const Verdict& verdict) {
    if (!verdict.refused_by) return 0;
    std::uint64_t seconds = seconds_until_admitted(*verdict.refused_by);
    for (const Applied& each : verdict.applied()) {
        if (each.answer.admitted || each.limit->shadow || &each == verdict.refused_by) continue;
        const limit::Nanos held = each.limit->delays ? each.limit->settings.max_delay.count() : 0;
        seconds = std::max(seconds, seconds_until_admitted(each, held));
    }
    if (verdict.strike == limit::Bans::Strike::banned)
        seconds = std::max(seconds, whole_seconds(verdict.refused_by->limit->ban->duration));
    return seconds;
}

std::string_view write_rate_fields(const Verdict& verdict, config::RateHeaders headers,
                                   std::span<char> room) {
    using enum config::RateHeaders;
    const Applied* nearest = verdict.nearest();
    if (!nearest) return {};
    http::Writer to(room);
    if (headers == standard || headers == both) {
        write_policies(verdict, to);
        write_standard(*nearest, to);
    }
    if (headers == legacy || headers == both) write_legacy(*nearest, to);
    if (verdict.refused_by) to << "Retry-After: " << retry_after_seconds(verdict) << "\r\n";
    return to.text();
}

RateFieldsChoice choose_rate_fields(const Verdict& verdict, config::RateHeaders headers,
                                    const http::Fields& upstream) {
    using enum config::RateHeaders;
    using http::FieldId;
    const Applied* nearest = verdict.nearest();
    if (!nearest || headers == none) return {.ours = none, .drop = {}};
    const auto tighter = [&](const std::optional<std::uint64_t>& theirs) {
        return !theirs || nearest->answer.remaining < *theirs;
    };
    const bool standard_ours =
        headers != legacy && (!upstream.has(FieldId::ratelimit) || tighter(least_remaining(upstream)));
    const bool legacy_ours = headers != standard && (!upstream.has(FieldId::x_ratelimit_remaining) ||
                                                     tighter(legacy_remaining(upstream)));
    if (standard_ours && legacy_ours) return {.ours = both, .drop = kStandard | kLegacy};
    if (standard_ours) return {.ours = standard, .drop = kStandard};
    if (legacy_ours) return {.ours = legacy, .drop = kLegacy};
    return {.ours = none, .drop = {}};
}

}  // namespace sluice::policy
