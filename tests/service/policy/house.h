#pragma once

// A policy over a table of its own, and requests to ask it about.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "config/model.h"
#include "service/http/read_head.h"
#include "service/limit/client_table.h"
#include "service/policy/decide.h"
#include "service/policy/policy.h"

namespace sluice::policy::test {

using namespace std::chrono_literals;

constexpr limit::Nanos kSecond = 1'000'000'000;
constexpr limit::Nanos kNow = 1000 * kSecond;

inline Address address(std::string_view text) {
    Address address{};
    EXPECT_TRUE(limit::parse_address(text, address)) << text;
    return address;
}

inline config::Limit limit_of(std::string name, std::uint64_t count, config::Duration per,
                              std::uint64_t burst) {
    return {.name = std::move(name), .rate = {count, per, ""}, .burst = burst};
}

/// Bans who was refused `after` times within a minute, for a quarter of an hour.
inline config::Limit banning(config::Limit limit, unsigned after = 3) {
    limit.ban = {after, 1min, 15min};
    return limit;
}

/// Counts for each X-Api-Key, and nobody who has none.
inline config::Limit by_header(config::Limit limit) {
    limit.key = {{config::KeyKind::header, "X-Api-Key"}};
    limit.missing = config::Missing::skip;
    return limit;
}

/// A head that was really read. Neither copies nor moves: its views point into it.
struct Head {
    explicit Head(std::string_view first_line = "GET / HTTP/1.1", std::string_view fields = "")
        : text(std::string(first_line) + "\r\nHost: app.example.com\r\n" + std::string(fields) + "\r\n") {
        http::HeadScan scan;
        const auto size = http::read_request_head(text, scan, {}, head);
        EXPECT_TRUE(size && *size == text.size()) << text;
    }
    Head(const Head&) = delete;

    std::string text;
    http::RequestHead head;
};

struct House {
    explicit House(std::initializer_list<config::Limit> limits, config::Config with = {},
                   std::uint64_t clients = 1000)
        : config(std::move(with)), ledger(clients, 1), policy((config.limits = limits, config), ledger) {}

    Verdict decide(const Head& head, std::string_view client = "192.0.2.1", limit::Nanos now = kNow) {
        return policy::decide(policy, ledger.table, {head.head, "", address(client)}, 0, now);
    }
    Verdict decide(std::string_view client = "192.0.2.1", limit::Nanos now = kNow) {
        return decide(Head(), client, now);
    }
    Verdict explain(const Head& head, std::string_view client = "192.0.2.1", limit::Nanos now = kNow) const {
        return policy::explain(policy, ledger.table, {head.head, "", address(client)}, 0, now);
    }
    std::uint64_t counted(std::size_t limit, telemetry::LimitCounters::Outcome outcome) const {
        return policy.limits()[limit].account.counters->total(outcome);
    }
    std::uint64_t remaining(std::size_t limit, std::string_view client = "192.0.2.1",
                            limit::Nanos now = kNow) const {
        const Verdict verdict = explain(Head(), client, now);
        const Applied& asked = verdict.applied()[limit];
        return asked.answer.remaining + (asked.answer.admitted ? asked.cost : 0);
    }

    config::Config config;
    Ledger ledger;
    Policy policy;
};

}  // namespace sluice::policy::test
