#pragma once

// The rules of one configuration, compiled: routes, limits, networks. Immutable, shared by every request that
// began while it was in force. Made anew by each reload; what a limit has counted lives in the Ledger, which
// stays.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "service/limit/client_table.h"
#include "service/policy/identify.h"
#include "service/policy/key.h"
#include "service/policy/ledger.h"
#include "service/policy/matcher.h"

namespace sluice::policy {

/// More limits than this on one configuration are refused: one request is charged under at most so many.
inline constexpr std::size_t kLimitsMax = limit::ClientTable::kChargesMax;

struct Limit {
    Limit(const config::Limit& settings, const config::Client& client, const limit::DigestSecret& secret,
          Ledger::Account account);

    /// What a request costs under this limit: 0 is free.
    std::uint64_t cost(const http::RequestHead& head) const;

    // Not const, so that a vector can hold them; a Policy hands out const ones only.
    config::Limit settings;
    Matcher match;
    KeyMaker key;
    limit::Rule rule;
    std::optional<limit::BanRule> ban;  // in shadow mode: none
    Ledger::Account account;
    std::string quoted_name;  // as a structured field's string: "per-ip", quotes included
    std::string policy_item;  // of RateLimit-Policy: "per-ip";q=20;w=2
    bool shadow;
    bool delays;  // holds what it refuses until its turn
};

struct Route {
    Matcher match;
    std::size_t upstream;  // index into Config::upstreams; kResponds when it responds itself
    const config::Route* settings;
    /// Identifies the route in keys of kind `route`: a hash of its match conditions, so that it survives a
    /// reload that moves the route. Of two routes with equal conditions only the first can be reached.
    std::uint64_t name;

    static constexpr std::size_t kResponds = ~std::size_t{0};
};

class Policy {
  public:
    /// `config` must outlive it: both live in one snapshot. Throws std::length_error when there is no number
    /// for one of its limits (Ledger::accounts).
    Policy(const config::Config& config, Ledger& ledger);

    /// Its limits' rules are those by which the table counts from now on (ClientTable::come_into_force).
    /// Once, before anything is decided by it. A policy of tests that never change a rate need not.
    void come_into_force(limit::ClientTable& table, limit::Nanos now);

    /// The index of the first route that matches; kNoRoute: 404.
    std::size_t route(const Request& request) const;
    static constexpr std::size_t kNoRoute = ~std::size_t{0};
    /// Route::name; that of no route, if there is none.
    std::uint64_t name_of(std::size_t route) const {
        return route < routes_.size() ? routes_[route].name : ~std::uint64_t{0};
    }

    const std::vector<Route>& routes() const { return routes_; }
    const std::vector<Limit>& limits() const { return limits_; }
    const Identifier& identifier() const { return identifier_; }
    const Networks& allowed() const { return allowed_; }
    const Networks& denied() const { return denied_; }
    const config::Response& response() const { return response_; }

  private:
    std::vector<Route> routes_;
    std::vector<Limit> limits_;
    const Identifier identifier_;
    const Networks allowed_, denied_;
    const config::Response& response_;
};

}  // namespace sluice::policy
