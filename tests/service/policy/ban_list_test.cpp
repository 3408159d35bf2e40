// Bans as an operator makes, lists and lifts them.

#include "service/policy/ban_list.h"

#include <string>
#include <string_view>
#include <vector>

#include "service/policy/listing.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Kind = Verdict::Kind;

std::vector<std::string> lifted(House& house, std::string_view key, limit::Nanos now = kNow) {
    std::vector<std::string> keys;
    for (const auto& ban : lift_bans(house.policy, house.ledger.table.bans(), key, now))
        keys.push_back(ban.key());
    return keys;
}

auto ban(House& house, std::string_view key, limit::Nanos now = kNow) {
    return ban_key(house.policy, house.ledger.table.bans(), {32, 64}, key, 60 * kSecond, now);
}

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

}  // namespace
}  // namespace sluice::policy
