// Limits that come and go with reloads: who gets which number, and what is known under it.

#include <memory>
#include <new>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "service/policy/slots.h"
#include "tests/failing_new.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Kind = Verdict::Kind;

constexpr const char* kClient = "192.0.2.1";

/// A configuration in force: as long as it lives, so do its limits.
struct InForce {
    InForce(Ledger& to, std::vector<config::Limit> limits)
        : ledger(to), policy((config.limits = std::move(limits), config), to) {}

    Verdict decide(std::string_view client = kClient, limit::Nanos now = kNow) const {
        const Head head;
        return policy::decide(policy, ledger.table, {head.head, "", address(client)}, 0, now);
    }
    Kind kind(std::string_view client = kClient, limit::Nanos now = kNow) const {
        return decide(client, now).kind;
    }
    limit::LimitId number(std::size_t at = 0) const { return policy.limits()[at].account.id; }

    Ledger& ledger;
    config::Config config;
    Policy policy;
};

config::Limit once(std::string name) {
    return limit_of(std::move(name), 1, 1h, 1);
}

config::Limit slots(std::string name) {
    return {.name = std::move(name), .algorithm = config::Algorithm::concurrency, .max = 1};
}

TEST(Ledger, WhereverMemoryRunsOutNoNumberIsGivenTwice) {
    if (runtime::kTsan) GTEST_SKIP() << "memory does not run out here";
    bool failed = true;
    for (int n = 1; failed; ++n) {
        Ledger ledger(1000, 1);
        std::vector<config::Limit> all;
        for (int i = 0; i < 250; ++i) all.push_back(once(std::to_string(i)));
        ledger.accounts(all);
        const auto held = ledger.accounts(std::span(all).first(247));
        const std::vector<config::Limit> next{once("a"), once("b"), once("c")};
        failed = false;
        sluice::test::allocations_left = n;
        try {
            ledger.accounts(next);
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        sluice::test::allocations_left = 0;
        std::set<limit::LimitId> numbers;
        for (const auto& account : held) numbers.insert(account.id);
        const auto given = ledger.accounts(next);
        for (const auto& account : given) numbers.insert(account.id);
        ASSERT_EQ(numbers.size(), 250U) << "at allocation " << n;
    }
}

TEST(Ledger, NoNumberOfReloadsWithNewLimitsIsTooMany) {
    Ledger ledger(1000, 1);
    for (int load = 0; load < 5000; ++load) {
        std::vector<config::Limit> limits;
        for (int i = 0; i < 3; ++i)
            limits.push_back(once("n" + std::to_string(load) + "-" + std::to_string(i)));
        limits[2].algorithm = config::Algorithm::fixed_window;
        const InForce now(ledger, std::move(limits));
        ASSERT_EQ(now.kind(), Kind::admitted) << "the limit is new, at load " << load;
        ASSERT_EQ(now.kind(), Kind::limited);
        ASSERT_EQ(now.policy.limits()[0].account.counters->total(telemetry::LimitCounters::Outcome::allowed),
                  1U);
    }
    EXPECT_LE(ledger.table.stats().tracked, limit::kLimitsMax);
}

TEST(Ledger, WhatStaysKeepsItsCountsHoweverManyComeAndGo) {
    Ledger ledger(1000, 1);
    auto now = std::make_unique<InForce>(ledger, std::vector{once("stays")});
    EXPECT_EQ(now->kind(), Kind::admitted);
    const limit::LimitId number = now->number();
    for (int load = 0; load < 1000; ++load) {
        auto next = std::make_unique<InForce>(
            ledger, std::vector{once("new-" + std::to_string(load)), once("stays")});
        now = std::move(next);
        ASSERT_EQ(now->number(1), number);
        ASSERT_NE(now->number(0), number);
        ASSERT_EQ(now->kind(), Kind::limited);
    }
}

TEST(Ledger, WhatDoesNotChangeWhomALimitCountsKeepsItsCounts) {
    Ledger ledger(1000, 1);
    config::Limit limit = once("by-key");
    limit.key = {{config::KeyKind::header, "X-Api-Key"}};
    const auto number = [&] { return ledger.accounts(std::span(&limit, 1))[0].id; };
    const limit::LimitId first = number();
    limit.missing = config::Missing::skip;
    EXPECT_EQ(number(), first);
    limit.key[0].name = "x-api-KEY";
    EXPECT_EQ(number(), first);
    limit.ipv4_prefix = 24;
    EXPECT_EQ(number(), first);
    limit.key[0].name = "X-Other-Key";
    EXPECT_NE(number(), first);
    limit.key = {{config::KeyKind::cookie, "sid"}};
    const limit::LimitId cookie = number();
    limit.key[0].name = "SID";
    EXPECT_NE(number(), cookie) << "names of cookies are told apart by case";
    limit.key = {{config::KeyKind::path, ""}, {config::KeyKind::ip, ""}};
    const limit::LimitId address = number();
    limit.ipv4_prefix = 32;
    EXPECT_NE(number(), address);
}

TEST(Ledger, WhoReturnsSoonFindsWhatItHadCounted) {
    Ledger ledger(1000, 1);
    EXPECT_EQ(InForce(ledger, {once("a")}).kind(), Kind::admitted);
    for (int load = 0; load < 249; ++load) InForce(ledger, {once("new-" + std::to_string(load))});
    // Beside one more that is new: it is another's number that goes.
    const InForce back(ledger, {once("another"), once("a")});
    EXPECT_EQ(back.kind(), Kind::limited);
    EXPECT_EQ(back.decide().refused_by->limit->settings.name, "a");
}

TEST(Ledger, TheLongestOutOfForceGoesFirst) {
    Ledger ledger(1000, 1);
    for (int n = 0; n < 250; ++n)
        EXPECT_EQ(InForce(ledger, {once(std::to_string(n))}).kind(), Kind::admitted);
    InForce(ledger, {once("0")});  // in force once more
    InForce(ledger, {once("new")});
    EXPECT_EQ(InForce(ledger, {once("0")}).kind(), Kind::limited);
    EXPECT_EQ(InForce(ledger, {once("2")}).kind(), Kind::limited);
    EXPECT_EQ(InForce(ledger, {once("1")}).kind(), Kind::admitted) << "is forgotten";
}

TEST(Ledger, NoNumberIsTakenFromAConfigurationThatIsInUse) {
    Ledger ledger(1000, 1);
    std::vector<std::unique_ptr<InForce>> all;
    std::set<limit::LimitId> numbers;
    for (int n = 0; n < 250; ++n) {
        all.push_back(std::make_unique<InForce>(ledger, std::vector{once(std::to_string(n))}));
        EXPECT_TRUE(numbers.insert(all.back()->number()).second);
        EXPECT_EQ(all.back()->kind(), Kind::admitted);
    }
    EXPECT_THROW(InForce(ledger, {once("new")}), std::length_error);
    for (const auto& each : all) EXPECT_EQ(each->kind(), Kind::limited);
    const limit::LimitId number = all[7]->number();
    all.erase(all.begin() + 7);
    const InForce last(ledger, {once("new")});
    EXPECT_EQ(last.number(), number);
    EXPECT_EQ(last.kind(), Kind::admitted);
}

TEST(Ledger, WhatWasOwedTogetherIsForgottenWithTheLimit) {
    Ledger ledger(2, 1);
    const auto holder = std::make_unique<InForce>(ledger, std::vector{once("holder")});
    EXPECT_EQ(holder->kind("10.0.0.1"), Kind::admitted);
    EXPECT_EQ(holder->kind("10.0.0.2"), Kind::admitted);  // the table is full of who owes
    for (int load = 0; load < 600; ++load) {
        const InForce now(ledger, {once("new-" + std::to_string(load))});
        ASSERT_EQ(now.kind(), Kind::admitted) << load;
        ASSERT_EQ(now.kind("192.0.9.9"), Kind::limited) << "shares the bucket of the block";
    }
}

TEST(Ledger, NeitherBansNorRefusalsPassToAnotherLimit) {
    Ledger ledger(1000, 1);
    for (int load = 0; load < 1000; ++load) {
        config::Limit limit = once("new-" + std::to_string(load));
        limit.ban = {3, 1h, 1h};
        const InForce now(ledger, {limit});
        ASSERT_EQ(now.kind(), Kind::admitted);
        // One of them is banned, the other nearly.
        for (int i = 0; i < 3; ++i) ASSERT_EQ(now.kind(), Kind::limited) << load;
        ASSERT_EQ(now.kind(), Kind::banned);
        ASSERT_EQ(now.kind("192.0.2.2"), Kind::admitted);
        for (int i = 0; i < 2; ++i) ASSERT_EQ(now.kind("192.0.2.2"), Kind::limited) << load;
    }
    const limit::BanStats stats = ledger.table.bans().stats();
    EXPECT_EQ(stats.made, 1000U);
    EXPECT_EQ(stats.active, 250U);
    EXPECT_EQ(stats.lifted, 750U);
}

// A tunnel outlives its configuration, with the place that it holds.
TEST(Ledger, NoNumberIsTakenFromAPlaceThatIsHeld) {
    Ledger ledger(1000, 1);
    limit::WaitingRoom room;
    std::optional<KeptSlots> kept;
    {
        const InForce first(ledger, {slots("places")});
        const Verdict verdict = first.decide();
        ASSERT_EQ(verdict.kind, Kind::admitted);
        kept.emplace(Slots(ledger.table, room, verdict).keep());
    }
    for (int load = 0; load < 600; ++load) InForce(ledger, {once("new-" + std::to_string(load))});
    EXPECT_EQ(InForce(ledger, {slots("places")}).kind(), Kind::limited) << "it is held still";
    kept.reset();
    EXPECT_EQ(InForce(ledger, {slots("places")}).kind(), Kind::admitted);
}

}  // namespace
}  // namespace sluice::policy
