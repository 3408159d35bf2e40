#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "service/policy/ban_list.h"
#include "service/policy/listing.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Kind = Verdict::Kind;
using Outcome = telemetry::LimitCounters::Outcome;
using Strike = limit::Bans::Strike;

TEST(Ban, SoManyRefusalsShutTheKeyOutUntilTheBanIsOver) {
    House house({banning(limit_of("per-ip", 1, 1s, 2))});
    for (int i = 0; i < 2; ++i) EXPECT_EQ(house.decide().kind, Kind::admitted);
    for (int i = 0; i < 3; ++i) {
        const Verdict verdict = house.decide();
        EXPECT_EQ(verdict.kind, Kind::limited);
        EXPECT_EQ(verdict.strike, i < 2 ? Strike::counted : Strike::banned);
    }
    const Verdict verdict = house.decide("192.0.2.1", kNow + 10 * kSecond);
    EXPECT_EQ(verdict.kind, Kind::banned) << "though the bucket is full again";
    EXPECT_EQ(verdict.banned_by, &house.policy.limits()[0]);
    EXPECT_EQ(verdict.banned_for, (15 * 60 - 10) * kSecond);
    EXPECT_EQ(verdict.nearest(), nullptr);
    EXPECT_EQ(house.decide("192.0.2.2").kind, Kind::admitted);
    EXPECT_EQ(house.explain(Head()).kind, Kind::banned);
    EXPECT_EQ(house.decide("192.0.2.1", kNow + 15 * 60 * kSecond).kind, Kind::admitted);
    EXPECT_EQ(house.counted(0, Outcome::banned), 1U);
    EXPECT_EQ(house.counted(0, Outcome::limited), 3U);
}

TEST(Ban, ALimitInShadowModeNeverBans) {
    config::Limit limit = banning(limit_of("trial", 1, 1h, 1), 1);
    limit.mode = config::Mode::shadow;
    House house({limit});
    for (int i = 0; i < 20; ++i) EXPECT_EQ(house.decide().kind, Kind::admitted);
    EXPECT_FALSE(house.ledger.table.bans().any());
}

TEST(Ban, InShadowModeOnlyAnOperatorsBanIsHeeded) {
    House house({banning(by_header(limit_of("trial", 1, 1h, 1)), 1)});
    const auto kind = [&](const Policy& policy, const char* key) {
        const Head head("GET / HTTP/1.1", "X-Api-Key: " + std::string(key) + "\r\n");
        return policy::decide(policy, house.ledger.table, {head.head, "", address("192.0.2.1")}, 0, kNow)
            .kind;
    };
    kind(house.policy, "refused"), kind(house.policy, "refused");
    ASSERT_EQ(kind(house.policy, "refused"), Kind::banned);

    config::Config next;
    next.limits = house.config.limits;
    next.limits[0].mode = config::Mode::shadow;
    const Policy shadow(next, house.ledger);
    EXPECT_EQ(kind(shadow, "refused"), Kind::admitted);
    kind(shadow, "unwanted");
    const auto all = list_clients(shadow, house.ledger.table, "", 2, ListOrder::allowed, kNow).clients;
    for (const ListedClient& each : all)
        ASSERT_TRUE(ban_key(shadow, house.ledger.table.bans(), {}, each.key(), 60 * kSecond, kNow));
    EXPECT_EQ(kind(shadow, "unwanted"), Kind::banned);
    EXPECT_EQ(banned_until(house.ledger.table.bans(), shadow.limits()[0], all[0].record.key, kNow),
              kNow + 60 * kSecond);
}

TEST(Ban, ABannedRequestSpendsNothingInAnyOrder) {
    const std::vector<config::Limit> all = {banning(limit_of("tight", 1, 1h, 2)), limit_of("wide", 1, 1h, 50),
                                            banning(limit_of("other", 1, 1h, 9))};
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), 0);
    do {
        House house({all[order[0]], all[order[1]], all[order[2]]});
        for (int i = 0; i < 2; ++i) EXPECT_EQ(house.decide().kind, Kind::admitted);
        for (int i = 0; i < 3; ++i) EXPECT_EQ(house.decide().kind, Kind::limited);
        for (int i = 0; i < 20; ++i) {
            const Verdict verdict = house.decide();
            ASSERT_EQ(verdict.kind, Kind::banned);
            EXPECT_EQ(verdict.banned_by->settings.name, "tight");
        }
        EXPECT_TRUE(house.ledger.table.bans().lift(
            limit::BanKey::under(
                house.policy.limits()[static_cast<std::size_t>(std::ranges::find(order, 0U) - order.begin())]
                    .account.id,
                limit::ClientKey::of_address(address("192.0.2.1"), {})),
            kNow));
        for (std::size_t i = 0; i < order.size(); ++i)
            EXPECT_EQ(house.remaining(i), all[order[i]].burst - 2) << all[order[i]].name;
    } while (std::ranges::next_permutation(order).found);
}

TEST(Ban, OnlyWhatItsLimitIsForIsShutOut) {
    config::Limit posts = banning(limit_of("posts", 1, 1h, 1), 1);
    posts.match.methods = {"POST"};
    House house({posts});
    const Head get, post("POST / HTTP/1.1");
    house.decide(post), house.decide(post);
    EXPECT_EQ(house.decide(post).kind, Kind::banned);
    EXPECT_EQ(house.decide(get).kind, Kind::admitted);
}

TEST(Ban, RefusalsOfASharedBucketBanNobody) {
    House house({banning(limit_of("per-ip", 1, 1h, 1), 1)}, {}, 2);
    house.decide("10.9.0.1"), house.decide("10.9.0.2");
    house.decide("10.9.0.3");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(house.decide("10.9.0.4").kind, Kind::limited);
    EXPECT_FALSE(house.ledger.table.bans().any());
    house.decide("10.9.0.1");
    EXPECT_EQ(house.decide("10.9.0.1").kind, Kind::banned) << "who has an entry of his own is banned";
}

TEST(Ban, SurvivesAReloadThatKeepsTheLimit) {
    config::Config config;
    House house({banning(limit_of("per-ip", 1, 1h, 1), 1)}, config);
    house.decide(), house.decide();
    ASSERT_EQ(house.decide().kind, Kind::banned);
    const auto after = [&](std::initializer_list<config::Limit> limits) {
        config::Config next;
        next.limits = limits;
        const Policy policy(next, house.ledger);
        const Head head;
        return policy::decide(policy, house.ledger.table, {head.head, "", address("192.0.2.1")}, 0, kNow)
            .kind;
    };
    EXPECT_EQ(after({banning(limit_of("per-ip", 5, 1s, 9), 7)}), Kind::banned);
    EXPECT_EQ(after({limit_of("per-ip", 5, 1s, 9)}), Kind::banned);
    EXPECT_EQ(after({limit_of("another", 5, 1s, 9)}), Kind::admitted);
    EXPECT_EQ(after({limit_of("per-ip", 5, 1s, 9), limit_of("another", 5, 1s, 9)}), Kind::banned);
}

// Clients, limits, time, the janitor and reloads at random: who is banned is what a model says.
TEST(Ban, WhoIsBannedIsWhoWasRefusedTooOftenWhateverElseHappens) {
    for (std::uint32_t seed = 1; seed <= 25; ++seed) {
        std::mt19937 random(seed);
        const auto limits = [&](std::uint64_t burst) {
            return std::vector{banning(limit_of("a", 1, 10s, burst), 3),
                               banning(limit_of("b", 1, 20s, burst + 1), 4), limit_of("c", 1, 5s, burst + 3)};
        };
        House house({});
        auto config = std::make_unique<config::Config>();
        config->limits = limits(2);
        auto policy = std::make_unique<Policy>(*config, house.ledger);
        std::map<std::pair<int, std::string>, limit::Nanos> banned;                // until
        std::map<std::pair<int, std::string>, std::vector<limit::Nanos>> strikes;  // the refusals that count
        limit::Nanos now = kNow;
        const Head head;
        int bans = 0;
        for (int i = 0; i < 6000; ++i) {
            now += static_cast<limit::Nanos>(random() % 400) * 1'000'000;
            if (random() % 500 == 0) now += 5 * 60 * kSecond;
            if (random() % 300 == 0) {
                auto next = std::make_unique<config::Config>(*config);
                next->limits = limits(1 + random() % 3);
                auto compiled = std::make_unique<Policy>(*next, house.ledger);
                policy = std::move(compiled);
                config = std::move(next);
            }
            if (random() % 100 == 0) {
                limit::ClientTable::Swept swept;
                for (std::optional<limit::ClientTable::Cursor> at = limit::ClientTable::Cursor{}; at;)
                    at = house.ledger.table.sweep(*at, 1000, kSecond, now, swept);
                for (std::size_t part = 0; part < limit::Bans::kParts; ++part)
                    house.ledger.table.bans().expire(part, now, [](const limit::Ban&) {});
            }
            const std::string who = "192.0.2." + std::to_string(random() % 6);
            const bool expected =
                std::ranges::any_of(std::array{0, 1}, [&](int l) { return banned[{l, who}] > now; });
            const Verdict verdict =
                policy::decide(*policy, house.ledger.table, {head.head, "", address(who)}, 0, now);
            ASSERT_EQ(verdict.kind == Kind::banned, expected) << "seed " << seed << ", step " << i;
            if (verdict.kind != Kind::limited) continue;
            const int by = static_cast<int>(verdict.refused_by->limit - policy->limits().data());
            if (by == 2) continue;
            auto& times = strikes[{by, who}];
            times.push_back(now);
            std::erase_if(times, [&](limit::Nanos time) { return time <= now - 60 * kSecond; });
            if (times.size() < (by == 0 ? 3U : 4U)) continue;
            times.clear();
            banned[{by, who}] = now + 15 * 60 * kSecond;
            ++bans;
        }
        EXPECT_GT(bans, 5) << seed;
    }
}

// Under another prefix the same key would be other clients'.
TEST(Ban, AReloadToAnotherPrefixPassesItToNobody) {
    House house({banning(limit_of("per-ip", 1, 1h, 1), 1)});
    for (const char* client : {"192.0.2.0", "2001:db8:1::5"}) {
        house.decide(client), house.decide(client);
        ASSERT_EQ(house.decide(client).kind, Kind::banned);
    }
    config::Config next;
    next.limits = {banning(limit_of("per-ip", 1, 1h, 1), 1)};
    next.limits[0].ipv4_prefix = 24;
    next.limits[0].ipv6_prefix = 48;
    const Policy policy(next, house.ledger);
    const Head head;
    for (const char* client : {"192.0.2.99", "2001:db8:1:7::1"}) {
        const Request request{head.head, "", address(client)};
        EXPECT_EQ(policy::decide(policy, house.ledger.table, request, 0, kNow).kind, Kind::admitted)
            << client;
    }
}

}  // namespace
}  // namespace sluice::policy
