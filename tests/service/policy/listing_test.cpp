#include "service/policy/listing.h"

#include <algorithm>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using limit::ClientKey;

config::Limit keyed(std::string name, config::KeyPart part) {
    config::Limit limit = limit_of(std::move(name), 1, 1h, 3);
    limit.key = {std::move(part)};
    return limit;
}

std::string text(const Limit& limit, std::string_view of) {
    return std::string(KeyText(limit, ClientKey::of_address(address(of), limit.key.prefixes())).view());
}

TEST(Listing, KeysAreShownUnderTheirPrefix) {
    config::Limit wide = limit_of("wide", 1, 1h, 1);
    wide.ipv4_prefix = 24;
    wide.ipv6_prefix = 48;
    config::Limit single = limit_of("single", 1, 1h, 1);
    single.ipv6_prefix = 128;
    House house({limit_of("usual", 1, 1h, 1), wide, single});
    const auto& limits = house.policy.limits();
    EXPECT_EQ(text(limits[0], "192.0.2.77"), "192.0.2.77");
    EXPECT_EQ(text(limits[0], "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(text(limits[0], "::ffff:192.0.2.77"), "192.0.2.77");
    EXPECT_EQ(text(limits[1], "192.0.2.77"), "192.0.2.0/24");
    EXPECT_EQ(text(limits[1], "2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
    EXPECT_EQ(text(limits[2], "2001:db8::1"), "2001:db8::1");
    EXPECT_EQ(KeyText(limits[0], ClientKey::global()).view(), "global");
}

TEST(Listing, SecretsAreShownAsADigest) {
    House house({keyed("by-key", {config::KeyKind::header, "X-Api-Key"})});
    const Limit& limit = house.policy.limits()[0];
    const std::string shown(KeyText(limit, ClientKey::of_digest(0x8877665544332200, 0x0123)).view());
    EXPECT_EQ(shown, "header:X-Api-Key#2233445566778823");
}

TEST(Listing, FirstByWhatWasDeniedAllowedAndSeen) {
    House house({limit_of("per-ip", 1, 1h, 3)});
    for (int client = 1; client <= 9; ++client)
        for (int i = 0; i < client; ++i)
            house.decide("192.0.2." + std::to_string(client), kNow + (10 - client) * kSecond);
    const auto first = [&](ListOrder order) {
        const Listing listing =
            list_clients(house.policy, house.ledger.table, "", 3, order, kNow + 20 * kSecond);
        EXPECT_EQ(listing.total, 9U);
        std::string keys;
        for (const auto& client : listing.clients) keys += client.key() + ' ';
        return keys;
    };
    EXPECT_EQ(first(ListOrder::denied), "192.0.2.9 192.0.2.8 192.0.2.7 ");
    EXPECT_EQ(first(ListOrder::recent), "192.0.2.1 192.0.2.2 192.0.2.3 ");
    EXPECT_EQ(first(ListOrder::allowed), "192.0.2.3 192.0.2.4 192.0.2.5 ");  // three each: then the latest
    const Listing listing =
        list_clients(house.policy, house.ledger.table, "per-ip", 1, ListOrder::denied, kNow + 20 * kSecond);
    ASSERT_EQ(listing.clients.size(), 1U);
    EXPECT_EQ(listing.clients[0].record.denied, 6U);
    EXPECT_EQ(listing.clients[0].record.allowed, 3U);
    EXPECT_EQ(listing.clients[0].remaining, 0U);
    EXPECT_EQ(listing.clients[0].unseen_seconds, 19U);
}

TEST(Listing, TopOfManyIsTheSameAsSortingAll) {
    House house({limit_of("per-ip", 1, 1h, 3)}, {}, 100'000);
    for (int i = 0; i < 20'000; ++i)
        house.decide("10.0." + std::to_string(i * i % 50) + "." + std::to_string(i * i % 251));
    const Listing all = list_clients(house.policy, house.ledger.table, "", 100'000, ListOrder::denied, kNow);
    const Listing top = list_clients(house.policy, house.ledger.table, "", 100, ListOrder::denied, kNow);
    EXPECT_EQ(all.clients.size(), all.total);
    EXPECT_EQ(all.total, house.ledger.table.stats().tracked);
    ASSERT_EQ(top.clients.size(), 100U);
    for (std::size_t i = 0; i < top.clients.size(); ++i)
        EXPECT_EQ(top.clients[i].record.key, all.clients[i].record.key);
    EXPECT_TRUE(
        list_clients(house.policy, house.ledger.table, "", 0, ListOrder::denied, kNow).clients.empty());
}

TEST(Listing, OneLimitOrAll) {
    House house({limit_of("a", 1, 1h, 3), keyed("b", {config::KeyKind::global, ""})});
    house.decide("192.0.2.1");
    house.decide("192.0.2.2");
    EXPECT_EQ(list_clients(house.policy, house.ledger.table, "", 10, ListOrder::denied, kNow).total, 3U);
    EXPECT_EQ(list_clients(house.policy, house.ledger.table, "a", 10, ListOrder::denied, kNow).total, 2U);
    EXPECT_EQ(
        list_clients(house.policy, house.ledger.table, "b", 10, ListOrder::denied, kNow).clients.at(0).key(),
        "global");
    EXPECT_EQ(list_clients(house.policy, house.ledger.table, "c", 10, ListOrder::denied, kNow).total, 0U);
}

TEST(Listing, EveryKeyThatIsShownIsFoundAgain) {
    config::Limit wide = limit_of("wide", 1, 1h, 3);
    wide.ipv4_prefix = 24;
    House house({limit_of("usual", 1, 1h, 3), wide, keyed("h", {config::KeyKind::header, "X-Api-Key"}),
                 keyed("g", {config::KeyKind::global, ""}), keyed("m", {config::KeyKind::method, ""})});
    for (int i = 0; i < 50; ++i)
        house.decide(Head("GET / HTTP/1.1", "X-Api-Key: key-" + std::to_string(i) + "\r\n"),
                     "192.0.2." + std::to_string(i));
    house.decide("2001:db8::1");
    const Listing all = list_clients(house.policy, house.ledger.table, "", 1000, ListOrder::recent, kNow);
    EXPECT_GT(all.total, 100U);
    for (const ListedClient& client : all.clients) {
        const auto found = find_clients(house.policy, house.ledger.table, client.key(), kNow);
        EXPECT_TRUE(std::ranges::any_of(found, [&](const ListedClient& each) {
            return each.limit == client.limit && each.record.key == client.record.key;
        })) << client.key();
    }
    for (const char* unknown : {"", "192.0.2.99", "192.0.2.0/25", "192.0.3.0/24",
                                "header:X-Api-Key#0000000000000000", "key-1", "#"})
        EXPECT_TRUE(std::ranges::none_of(
            find_clients(house.policy, house.ledger.table, unknown, kNow),
            [](const ListedClient& each) { return each.limit->settings.name != "wide"; }))
            << unknown;
}

TEST(Listing, AddressStandsForThePrefixThatItIsIn) {
    config::Limit wide = limit_of("wide", 1, 1h, 3);
    wide.ipv4_prefix = 24;
    House house({limit_of("usual", 1, 1h, 3), wide});
    house.decide("192.0.2.1");
    house.decide("192.0.2.2");
    EXPECT_EQ(find_clients(house.policy, house.ledger.table, "192.0.2.1", kNow).size(), 2U);
    EXPECT_EQ(find_clients(house.policy, house.ledger.table, "192.0.2.0/24", kNow).size(), 1U);
    EXPECT_EQ(find_clients(house.policy, house.ledger.table, "192.0.2.9", kNow).size(), 1U);
}

TEST(Listing, ForgottenClientStartsWithAFullBucket) {
    House house({limit_of("per-ip", 1, 1h, 1)});
    house.decide();
    EXPECT_EQ(house.decide().kind, Verdict::Kind::limited);
    EXPECT_EQ(forget_clients(house.policy, house.ledger.table, "192.0.2.1", kNow).size(), 1U);
    EXPECT_EQ(forget_clients(house.policy, house.ledger.table, "192.0.2.1", kNow).size(), 0U);
    EXPECT_EQ(house.decide().kind, Verdict::Kind::admitted);
}

}  // namespace
}  // namespace sluice::policy
