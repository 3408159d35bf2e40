#include "service/policy/policy.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <stdexcept>
#include <utility>

#include "runtime/check.h"
#include "service/http/text.h"
#include "service/limit/short_list.h"
#include "service/policy/structured_list.h"

namespace sluice::policy {

namespace {

std::optional<limit::BanRule> ban_of(const config::Limit& limit) {
    if (limit.ban.after == 0 || limit.mode == config::Mode::shadow) return std::nullopt;
    return limit::BanRule{{limit.ban.after, limit.ban.within.count()}, limit.ban.duration.count()};
}

/// A name as a structured field's string (RFC 9651 §3.3.3). Names are printable ASCII, or their other bytes
/// are dropped.
std::string quoted(std::string_view name) {
    std::string text = "\"";
    for (char c : name) {
        if (c < 0x20 || c > 0x7e) continue;
        if (c == '"' || c == '\\') text += '\\';
        text += c;
    }
    return text + '"';
}

limit::Rule rule_of(const config::Limit& limit) {
    switch (limit.algorithm) {
        case config::Algorithm::token_bucket:
            return limit::Bucket(limit.rate.count, limit.rate.per, limit.burst);
        case config::Algorithm::fixed_window: return limit::FixedWindow(limit.rate.count, limit.rate.per);
        case config::Algorithm::sliding_window: return limit::SlidingWindow(limit.rate.count, limit.rate.per);
        case config::Algorithm::concurrency: return limit::InFlight(limit.max);
    }
    SLUICE_CHECK(false, "an algorithm of the configuration's");
}

/// An item of RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10 §3): the quota, and the window unless
/// it is no matter of time.
std::string policy_item(std::string_view quoted_name, const limit::Rule& rule) {
    const std::string quota =
        std::string(quoted_name) + ";q=" + std::to_string(std::min(rule.quota(), kStructuredIntegerMax));
    if (rule.in_flight()) return quota + ";qu=\"concurrent-requests\"";
    return quota + ";w=" + std::to_string(rule.window_seconds());
}

// A client must not make itself cheap by nonsense, nor free: what is no number costs the most.
std::uint64_t told_cost(std::string_view text, std::uint64_t max) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end) return max;
    return std::min(std::max(value, std::uint64_t{1}), max);
}

// Each part ends in a zero byte, which none holds; the lists, in one of their own.
std::uint64_t name_of_match(const config::Match& match) {
    std::string text;
    const auto add = [&text](std::string_view part) { text.append(part).push_back('\0'); };
    for (const std::string* part :
         {&match.listener, &match.host, &match.path, &match.path_prefix, &match.path_regex})
        add(*part);
    for (const std::string& method : match.methods) add(method);
    add({});
    for (const auto& [name, value] : match.headers) {
        add(name);
        add(value);
    }
    return std::hash<std::string>{}(text);
}

std::size_t upstream_index(const config::Config& config, const config::Route& route) {
    if (route.respond) return Route::kResponds;
    const auto found = std::ranges::find(config.upstreams, route.upstream, &config::Upstream::name);
    SLUICE_CHECK(found != config.upstreams.end(), "a validated route names an upstream");
    return static_cast<std::size_t>(found - config.upstreams.begin());
}

}  // namespace

Limit::Limit(const config::Limit& limit, const config::Client& client, const limit::DigestSecret& secret,
             Ledger::Account its_account)
    : settings(limit),
      match(limit.match),
      key(limit, client, secret),
      rule(rule_of(limit)),
      ban(ban_of(limit)),
      account(std::move(its_account)),
      quoted_name(quoted(limit.name)),
      policy_item(policy::policy_item(quoted_name, rule)),
      shadow(limit.mode == config::Mode::shadow),
      delays(limit.action == config::Action::delay && !shadow) {}

std::uint64_t Limit::cost(const http::RequestHead& head) const {
    const config::Cost& cost = settings.cost;
    if (!cost.by_method.empty()) {
        for (const auto& [method, value] : cost.by_method)
            if (method == head.method_text) return value;
        return 1;
    }
    if (cost.header.empty()) return cost.fixed;
    std::uint64_t dearest = 0;
    for (const http::Field& field : head.fields)
        if (http::equals_ignoring_case(field.name, cost.header))
            dearest = std::max(dearest, told_cost(field.value, cost.max));
    return dearest == 0 ? cost.fixed : dearest;
}

Policy::Policy(const config::Config& config, Ledger& ledger)
    : identifier_(config.client), allowed_(config.allow), denied_(config.deny), response_(config.response) {
    if (config.limits.size() > kLimitsMax) throw std::length_error("more than 32 limits");
    for (const auto& route : config.routes)
        routes_.push_back(
            {Matcher(route.match), upstream_index(config, route), &route, name_of_match(route.match)});
    limits_.reserve(config.limits.size());
    std::vector<Ledger::Account> accounts = ledger.accounts(config.limits, config.client);
    for (std::size_t i = 0; i < config.limits.size(); ++i)
        limits_.emplace_back(config.limits[i], config.client, ledger.secret(), std::move(accounts[i]));
}

void Policy::come_into_force(limit::ClientTable& table, limit::Nanos now) {
    limit::ShortList<limit::ClientTable::Ruled, kLimitsMax> rules;
    for (Limit& each : limits_) rules.add({each.account.id, &each.rule});
    table.come_into_force({rules.begin(), rules.size()}, now);
}

std::size_t Policy::route(const Request& request) const {
    for (std::size_t i = 0; i < routes_.size(); ++i)
        if (routes_[i].match.matches(request)) return i;
    return kNoRoute;
}

}  // namespace sluice::policy
