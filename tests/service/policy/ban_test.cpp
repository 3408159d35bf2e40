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

config::Limit banning(config::Limit limit, unsigned after = 3) {
    limit.ban = {after, 1min, 15min};
    return limit;
}

config::Limit by_header(config::Limit limit) {
    limit.key = {{config::KeyKind::header, "X-Api-Key"}};
    limit.missing = config::Missing::skip;
    return limit;
}

std::vector<std::string> lifted(House& house, std::string_view key, limit::Nanos now = kNow) {
    std::vector<std::string> keys;
    for (const auto& ban : lift_bans(house.policy, house.ledger.table.bans(), key, now))
        keys.push_back(ban.key());
    return keys;
}

auto ban(House& house, std::string_view key, limit::Nanos now = kNow) {
    return ban_key(house.policy, house.ledger.table.bans(), {32, 64}, key, 60 * kSecond, now);
}

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

// By an operator.

TEST(BanList, AnAddressIsShutOutWhateverItAsksFor) {
    config::Config config;
    config.allow = {{address("192.0.2.0"), 96 + 24}};
    House house({by_header(limit_of("by-key", 1, 1h, 5))}, config);
    ASSERT_TRUE(ban(house, "192.0.2.1"));
    EXPECT_EQ(house.decide("192.0.2.1").kind, Kind::banned) << "allow exempts from limits, not from this";
    EXPECT_EQ(house.decide("192.0.2.1").banned_by, nullptr);
    EXPECT_EQ(house.decide("192.0.2.2").kind, Kind::admitted);
    EXPECT_EQ(house.decide("192.0.2.1", kNow + 60 * kSecond).kind, Kind::admitted);
    EXPECT_EQ(lifted(house, "192.0.2.1"), std::vector<std::string>{"192.0.2.1"});
    EXPECT_TRUE(lifted(house, "192.0.2.1").empty());
    EXPECT_EQ(house.decide("192.0.2.1").kind, Kind::admitted);
}

TEST(BanList, ABanOfAnAddressIsOfTheClientThatItBelongsTo) {
    House house({limit_of("per-ip", 1, 1h, 5)});
    EXPECT_EQ(ban(house, "2001:db8:0:1::77")->at(0).key(), "2001:db8:0:1::/64");
    EXPECT_EQ(house.decide("2001:db8:0:1::1").kind, Kind::banned);
    EXPECT_EQ(house.decide("2001:db8:0:2::1").kind, Kind::admitted);
    EXPECT_EQ(ban(house, "2001:db8:0:2::77/128")->at(0).key(), "2001:db8:0:2::77");
    EXPECT_EQ(house.decide("2001:db8:0:2::77").kind, Kind::banned);
    EXPECT_EQ(house.decide("2001:db8:0:2::78").kind, Kind::admitted);
    EXPECT_EQ(ban(house, "203.0.113.99/24")->at(0).key(), "203.0.113.0/24");
    EXPECT_EQ(house.decide("203.0.113.1").kind, Kind::banned);
    EXPECT_EQ(ban(house, "::ffff:198.51.100.99/120")->at(0).key(), "198.51.100.0/24");
    EXPECT_EQ(house.decide("198.51.100.1").kind, Kind::banned);
}

TEST(BanList, AnAddressIsLetInWhereverItIsKeptOut) {
    config::Limit wide = banning(limit_of("wide", 1, 1h, 1), 1);
    wide.ipv4_prefix = 24;
    House house({wide, banning(limit_of("per-ip", 1, 1h, 1), 1)});
    ban(house, "192.0.0.0/16");
    ban(house, "198.51.100.7");
    house.ledger.table.bans().lift(limit::BanKey::of_block(address("192.0.0.0"), 112), kNow);
    house.decide("192.0.2.1"), house.decide("192.0.2.1");
    ASSERT_EQ(house.decide("192.0.2.99").kind, Kind::banned);
    ban(house, "192.0.0.0/16");
    EXPECT_TRUE(lifted(house, "192.0.2.99/32").empty()) << "no ban is written so";
    EXPECT_EQ(lifted(house, "192.0.2.99"), (std::vector<std::string>{"192.0.0.0/16", "192.0.2.0/24"}));
    EXPECT_NE(house.decide("192.0.2.99").kind, Kind::banned);
    EXPECT_EQ(house.decide("198.51.100.7").kind, Kind::banned);
}

TEST(BanList, ASecretIsBannedByItsDigestAsListed) {
    House house({by_header(limit_of("by-key", 1, 1h, 5)), by_header(limit_of("again", 1, 1h, 5))});
    const Head head("GET / HTTP/1.1", "X-Api-Key: s3cret\r\n"),
        other("GET / HTTP/1.1", "X-Api-Key: other\r\n");
    house.decide(head);
    const std::string key =
        list_clients(house.policy, house.ledger.table, "", 1, ListOrder::denied, kNow).clients.at(0).key();
    const auto made = ban(house, key);
    ASSERT_TRUE(made);
    ASSERT_EQ(made->size(), 2U);
    EXPECT_EQ(made->at(0).key(), key);
    EXPECT_EQ(house.decide(head).kind, Kind::banned);
    EXPECT_EQ(house.decide(head, "203.0.113.5").kind, Kind::banned);
    EXPECT_EQ(house.decide(other).kind, Kind::admitted);
    EXPECT_EQ(lifted(house, key).size(), 2U);
    EXPECT_EQ(house.decide(head).kind, Kind::admitted);
}

TEST(BanList, WhoHasNoAddressIsBannedByNameAndByNoNetwork) {
    House house({limit_of("per-ip", 1, 1h, 5), by_header(limit_of("by-key", 1, 1h, 5))});
    const Head head;
    const auto kind = [&] {
        return decide(house.policy, house.ledger.table, {head.head, "", kNoAddress}, 0, kNow).kind;
    };
    ASSERT_TRUE(ban(house, "::/0") && ban(house, "::/64"));
    EXPECT_EQ(kind(), Kind::admitted);
    const auto found = find_clients(house.policy, house.ledger.table, "unix:", kNow);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].key(), "unix:");
    EXPECT_EQ(banned_until(house.ledger.table.bans(), *found[0].limit, found[0].record.key, kNow), 0);
    ASSERT_TRUE(ban(house, "unix:"));
    EXPECT_EQ(kind(), Kind::banned);
    EXPECT_EQ(lifted(house, "unix:"), (std::vector<std::string>{"unix:", "unix:"}));
    EXPECT_EQ(kind(), Kind::admitted);
}

TEST(BanList, WhatIsNoKeyIsRefused) {
    House house({by_header(limit_of("by-key", 1, 1h, 5)), limit_of("per-ip", 1, 1h, 5)});
    for (const char* key :
         {"", "x", "global", "192.0.2.1/33", "192.0.2.1/", "192.0.2.1/x", "2001:db8::/129", "192.0.2.1/-1",
          "header:X-Api-Key#", "header:X-Api-Key#0123", "header:X-Api-Key#0123456789abcdeg",
          "header:X-Api-Key#0123456789ABCDEF", "header:Other#0123456789abcdef", "#0123456789abcdef"})
        EXPECT_FALSE(ban(house, key)) << key;
    EXPECT_TRUE(ban(house, "header:X-Api-Key#0123456789abcdef"));
    EXPECT_EQ(house.ledger.table.bans().stats().active, 1U);
}

TEST(BanList, ListsTheNewestFirstAndHowManyThereAre) {
    House house({banning(limit_of("per-ip", 1, 1h, 1), 1)});
    for (int n = 1; n <= 9; ++n) ban(house, "192.0.2." + std::to_string(n), kNow + n);
    house.decide("198.51.100.1", kNow + 20), house.decide("198.51.100.1", kNow + 20);
    const BanListing listing = list_bans(house.policy, house.ledger.table.bans(), 3, kNow + 30);
    EXPECT_EQ(listing.total, 10U);
    ASSERT_EQ(listing.bans.size(), 3U);
    EXPECT_EQ(listing.bans[0].key(), "198.51.100.1");
    EXPECT_EQ(listing.bans[0].limit, &house.policy.limits()[0]);
    EXPECT_FALSE(listing.bans[0].ban.by_operator);
    EXPECT_EQ(listing.bans[1].key(), "192.0.2.9");
    EXPECT_EQ(listing.bans[1].limit, nullptr);
}

TEST(BanList, AllOfALimitAreLetInOrEverybody) {
    House house({limit_of("wide", 1, 1s, 9), by_header(limit_of("by-key", 1, 1s, 9))});
    limit::Bans& bans = house.ledger.table.bans();
    for (int i = 0; i < 5; ++i) {
        const Head head("GET / HTTP/1.1", "X-Api-Key: k" + std::to_string(i) + "\r\n");
        house.decide(head);
    }
    const Limit& by_key = house.policy.limits()[1];
    for (const ListedClient& each :
         list_clients(house.policy, house.ledger.table, "by-key", 9, ListOrder::recent, kNow).clients)
        ASSERT_TRUE(ban(house, each.key()));
    ASSERT_TRUE(ban(house, "192.0.2.0/24"));
    ASSERT_TRUE(ban(house, "192.0.2.7"));
    EXPECT_EQ(list_bans(house.policy, bans, 9, kNow, &by_key).total, 5U);
    EXPECT_EQ(list_bans(house.policy, bans, 9, kNow, &house.policy.limits()[0]).total, 0U);
    EXPECT_EQ(lift_all_bans(house.policy, bans, &house.policy.limits()[0], 9, kNow).total, 0U);
    const BanListing lifted = lift_all_bans(house.policy, bans, &by_key, 3, kNow);
    EXPECT_EQ(lifted.total, 5U);
    ASSERT_EQ(lifted.bans.size(), 3U);
    EXPECT_EQ(lifted.bans[0].limit, &by_key);
    EXPECT_EQ(house.decide().kind, Kind::banned);
    EXPECT_EQ(lift_all_bans(house.policy, bans, nullptr, 9, kNow).total, 2U);
    EXPECT_FALSE(bans.any());
    EXPECT_EQ(house.decide().kind, Kind::admitted);
}

TEST(BanList, AListingOfClientsTellsTheEndOfTheBan) {
    House house({banning(limit_of("per-ip", 1, 1h, 1), 1)});
    const auto until = [&](std::string_view who) {
        const auto found = find_clients(house.policy, house.ledger.table, who, kNow).at(0);
        return banned_until(house.ledger.table.bans(), *found.limit, found.record.key, kNow);
    };
    house.decide("192.0.2.1"), house.decide("192.0.2.1");
    house.decide("192.0.2.2"), ban(house, "192.0.2.0/30");
    house.decide("192.0.2.9");
    EXPECT_EQ(until("192.0.2.1"), kNow + 15 * 60 * kSecond);
    EXPECT_EQ(until("192.0.2.2"), kNow + 60 * kSecond);
    EXPECT_EQ(until("192.0.2.9"), 0);
}

TEST(BanList, WhoIsForgottenIsLetInAgain) {
    House house({banning(limit_of("per-ip", 1, 1h, 1), 2)});
    house.decide(), house.decide();
    EXPECT_EQ(forget_clients(house.policy, house.ledger.table, "192.0.2.1", kNow).size(), 1U);
    house.decide(), house.decide();
    EXPECT_NE(house.decide().kind, Kind::banned) << "the refusal from before was forgotten too";
    EXPECT_EQ(house.decide().kind, Kind::banned);
    EXPECT_EQ(forget_clients(house.policy, house.ledger.table, "192.0.2.1", kNow).size(), 1U);
    EXPECT_EQ(house.decide().kind, Kind::admitted);
}

TEST(BanList, WhoIsForgottenStaysOutIfAnOperatorSaidSo) {
    House house({banning(by_header(limit_of("by-key", 1, 1h, 1)), 1)});
    const Head head("GET / HTTP/1.1", "X-Api-Key: a\r\n");
    house.decide(head);
    const auto client = list_clients(house.policy, house.ledger.table, "", 1, ListOrder::recent, kNow);
    const std::string key = client.clients.at(0).key();
    ASSERT_TRUE(ban(house, key));
    EXPECT_EQ(forget_clients(house.policy, house.ledger.table, key, kNow).size(), 1U);
    EXPECT_EQ(house.decide(head).kind, Kind::banned);
    EXPECT_EQ(lifted(house, key).size(), 1U);
    EXPECT_EQ(house.decide(head).kind, Kind::admitted);
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
