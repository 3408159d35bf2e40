#include "service/limit/bans.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using Strike = Bans::Strike;

constexpr LimitId kLimit = 3;
const BanRule kRule{.strikes = StrikeRule(3, kMinute), .duration = 10 * kMinute};

Address address(std::string_view text) {
    Address address{};
    EXPECT_TRUE(parse_address(text, address)) << text;
    return address;
}

std::size_t expire_all(Bans& bans, Nanos now) {
    std::size_t expired = 0;
    for (std::size_t part = 0; part < Bans::kParts; ++part)
        bans.expire(part, now, [&](const Ban&) { ++expired; });
    return expired;
}

// Counting refusals.

TEST(Strikes, TheLastThatIsAllowedStrikesOutAndTheCountBeginsAnew) {
    Strikes strikes(100);
    const StrikeRule rule(3, kMinute);
    for (int round = 0; round < 3; ++round) {
        EXPECT_FALSE(strikes.add(7, rule, kNow));
        EXPECT_FALSE(strikes.add(7, rule, kNow + 1));
        EXPECT_TRUE(strikes.add(7, rule, kNow + 2));
    }
    EXPECT_TRUE(strikes.add(8, StrikeRule(1, 1), kNow)) << "at once, when one is too many";
}

TEST(Strikes, RefusalsFartherApartDoNotCountTogether) {
    Strikes strikes(100);
    const StrikeRule rule(3, kMinute);
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(strikes.add(7, rule, kNow + i * (kMinute / 2)));
}

// Against the times themselves: what the rule says, to the refusal, when it asks for ten or fewer; above, no
// sooner, and at most a tenth later.
TEST(Strikes, AgreeWithAListOfTimes) {
    for (std::uint32_t seed = 1; seed <= 40; ++seed) {
        std::mt19937 random(seed);
        const std::uint32_t after = seed % 2 ? 1 + random() % 10 : 11 + random() % 500;
        const std::uint32_t late = after <= 10 ? 0 : (after + 9) / 10 - 1;
        const Nanos within =
            std::array<Nanos, 4>{kSecond, kMinute, 24 * 60 * kMinute, 1'000'000}[random() % 4];
        const StrikeRule rule(after, within);
        Strikes strikes(100);
        std::deque<Nanos> times;
        Nanos now = kNow;
        int struck = 0;
        for (int i = 0; i < 20'000; ++i) {
            const bool pause = random() % (4 * after) == 0;
            now += 1 + static_cast<Nanos>(random() % 1000) * (pause ? within : within / after) /
                           (pause ? 600 : 700);
            times.push_back(now);
            // Times are held to within/2^26: what lies that near the edge may go either way.
            while (times.front() <= now - within + within / (1 << 26) * 2) times.pop_front();
            if (!strikes.add(99, rule, now)) {
                ASSERT_LT(times.size(), after + late) << "too late, seed " << seed << ", after " << after;
                continue;
            }
            ASSERT_GE(times.size(), after) << "too soon, seed " << seed;
            times.clear();
            ++struck;
        }
        EXPECT_GT(struck, 0) << seed;
    }
}

TEST(Strikes, AFloodOfKeysTakesNoMoreMemoryAndLeavesWhoIsNearABan) {
    Strikes strikes(1024);
    const StrikeRule rule(5, kMinute);
    for (int i = 0; i < 4; ++i) EXPECT_FALSE(strikes.add(0xabcdef, rule, kNow));
    std::mt19937_64 random(1);
    for (int i = 0; i < 1'000'000; ++i) strikes.add(random(), rule, kNow);
    EXPECT_EQ(strikes.bytes(), 1024U * 64);
    EXPECT_TRUE(strikes.add(0xabcdef, rule, kNow));
}

// Bans.

TEST(Bans, BeginWithTheRefusalThatIsOneTooManyAndEndByTheClock) {
    Bans bans(100);
    EXPECT_FALSE(bans.any());
    EXPECT_EQ(bans.strike(client(1), kLimit, kRule, kNow), Strike::counted);
    EXPECT_EQ(bans.strike(client(1), kLimit, kRule, kNow + 1), Strike::counted);
    EXPECT_EQ(bans.strike(client(1), kLimit, kRule, kNow + 2), Strike::banned);
    EXPECT_TRUE(bans.any());
    const Nanos end = kNow + 2 + 10 * kMinute;
    EXPECT_EQ(bans.until(client(1), kLimit, kNow + 3), end);
    EXPECT_EQ(bans.until(client(1), kLimit, end - 1), end);
    EXPECT_EQ(bans.until(client(1), kLimit, end), 0);
    EXPECT_EQ(bans.until(client(1), kLimit + 1, kNow + 3), 0) << "another limit's";
    EXPECT_EQ(bans.until(client(2), kLimit, kNow + 3), 0);
    EXPECT_EQ(expire_all(bans, end - 1), 0U);
    EXPECT_EQ(expire_all(bans, end), 1U);
    EXPECT_FALSE(bans.any());
    EXPECT_EQ(bans.stats().expired, 1U);
}

TEST(Bans, ABlockOfAddressesHoldsWhateverIsInIt) {
    Bans bans(100);
    bans.put(BanKey::of_block(address("192.0.2.0"), 96 + 24), kNow, kNow + kMinute);
    bans.put(BanKey::of_block(address("2001:db8::"), 32), kNow, kNow + kMinute);
    bans.put(BanKey::of_block(address("192.0.2.77"), 128), kNow, kNow + 2 * kMinute);
    EXPECT_EQ(bans.until(address("192.0.2.1"), kNow), kNow + kMinute);
    EXPECT_EQ(bans.until(address("::ffff:192.0.2.255"), kNow), kNow + kMinute);
    EXPECT_EQ(bans.until(address("192.0.3.1"), kNow), 0);
    EXPECT_EQ(bans.until(address("192.0.2.77"), kNow), kNow + 2 * kMinute) << "what ends last";
    EXPECT_EQ(bans.until(address("2001:db8:ffff::1"), kNow), kNow + kMinute);
    EXPECT_EQ(bans.until(address("2001:db9::1"), kNow), 0);
    EXPECT_EQ(bans.until(address("192.0.0.0"), kNow, 96 + 16), 0) << "only a part of it is banned";
    EXPECT_TRUE(bans.lift(BanKey::of_block(address("192.0.2.0"), 96 + 24), kNow));
    EXPECT_EQ(bans.until(address("192.0.2.1"), kNow), 0);
}

TEST(Bans, EverybodyIsABlockToo) {
    Bans bans(100);
    bans.put(BanKey::of_block(address("0.0.0.0"), 96), kNow, kNow + kMinute);
    EXPECT_EQ(bans.until(address("203.0.113.9"), kNow), kNow + kMinute);
    EXPECT_EQ(bans.until(address("2001:db8::1"), kNow), 0);
    bans.put(BanKey::of_block(address("::"), 0), kNow, kNow + kMinute);
    EXPECT_EQ(bans.until(address("2001:db8::1"), kNow), kNow + kMinute);
}

TEST(Bans, AnOperatorsWordReplacesABan) {
    Bans bans(100);
    const BanKey key = BanKey::under(kLimit, client(1));
    bans.put(key, kNow, kNow + kMinute);
    bans.put(key, kNow, kNow + kSecond);
    EXPECT_EQ(bans.until(client(1), kLimit, kNow), kNow + kSecond);
    EXPECT_EQ(bans.stats().active, 1U);
    EXPECT_TRUE(bans.lift(key, kNow));
    EXPECT_FALSE(bans.lift(key, kNow));
}

TEST(Bans, DigestsAreBannedByWhatAListingShowsOfThem) {
    Bans bans(100);
    const ClientKey key = ClientKey::of_digest(0x8877665544332211, 0x0123456789abcdef);
    bans.put(BanKey::under(kLimit, key.shown()), kNow, kNow + kMinute);
    EXPECT_NE(bans.until(key, kLimit, kNow), 0);
    EXPECT_EQ(bans.until(ClientKey::of_digest(0x8877665544332211, 0x0123456789abcd00), kLimit, kNow), 0);
    EXPECT_EQ(bans.until(ClientKey::global(), kLimit, kNow), 0);
}

// A million keys that provoke bans: no more bans than there may be, no more memory than they take, none
// lifted for another, and all of it given back at the end.
TEST(Bans, AFloodOfKeysMakesNoMoreBansThanTheBoundAndLiftsNone) {
    constexpr std::uint64_t kMax = 10'000;
    Bans bans(kMax);
    for (int i = 0; i < 3; ++i) bans.strike(client(0), kLimit, kRule, kNow);
    ASSERT_NE(bans.until(client(0), kLimit, kNow), 0);
    std::uint64_t refused = 0;
    for (std::uint32_t n = 1; n <= 1'000'000; ++n) {
        bans.strike(client(n), kLimit, kRule, kNow);
        bans.strike(client(n), kLimit, kRule, kNow);
        refused += bans.strike(client(n), kLimit, kRule, kNow) == Strike::no_room;
        ASSERT_LE(bans.stats().active, kMax);
    }
    const BanStats stats = bans.stats();
    EXPECT_EQ(stats.active, kMax);
    EXPECT_EQ(stats.no_room, refused);
    EXPECT_EQ(stats.no_room + stats.made, 1'000'001U);
    EXPECT_LE(stats.bytes, kMax * (128 + 64) + Bans::kParts * 192);
    EXPECT_NE(bans.until(client(0), kLimit, kNow), 0);

    EXPECT_TRUE(bans.put(BanKey::of_block(address("192.0.2.1"), 128), kNow, kNow + kMinute))
        << "an operator has room of his own";
    EXPECT_EQ(expire_all(bans, kNow + 10 * kMinute), kMax + 1);
    EXPECT_LE(bans.stats().bytes, kMax * 64 + Bans::kParts * 192);
    for (int i = 0; i < 3; ++i) bans.strike(client(5), kLimit, kRule, kNow + 10 * kMinute);
    EXPECT_NE(bans.until(client(5), kLimit, kNow + 10 * kMinute), 0) << "there is room again";
}

TEST(Bans, AgreeWithAMapWhateverComes) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        Bans bans(200, seed);
        std::map<std::uint32_t, Nanos> model;
        Nanos now = kNow;
        for (int i = 0; i < 20'000; ++i) {
            now += random() % kSecond;
            const std::uint32_t who = random() % 400;
            const BanKey key = BanKey::under(kLimit, client(who));
            switch (random() % 4) {
                case 0: {
                    const Nanos until = now + 1 + random() % kMinute;
                    ASSERT_TRUE(bans.put(key, now, until));
                    model[who] = until;
                    break;
                }
                case 1:
                    ASSERT_EQ(bans.lift(key, now), model.contains(who) && model[who] > now);
                    model.erase(who);
                    break;
                case 2:
                    bans.expire(random() % Bans::kParts, now,
                                [&](const Ban& ban) { ASSERT_LE(ban.until, now); });
                    break;
                default:
                    ASSERT_EQ(bans.until(client(who), kLimit, now),
                              model.contains(who) && model[who] > now ? model[who] : 0);
            }
        }
        std::size_t listed = 0;
        bans.each(now, [&](const Ban&) { ++listed; });
        EXPECT_EQ(listed, static_cast<std::size_t>(std::ranges::count_if(
                              model, [&](const auto& each) { return each.second > now; })));
    }
}

TEST(Bans, AllAreLiftedThatBeganByThenOfOneLimitOrOfAny) {
    constexpr LimitId kOther = kLimit + 1;
    Bans bans(100'000);
    for (std::uint32_t n = 0; n < 20'000; ++n)
        bans.put(BanKey::under(n % 2 ? kLimit : kOther, client(n)), kNow, kNow + kMinute);
    bans.put(BanKey::of_block(address("192.0.2.0"), 96 + 24), kNow, kNow + kMinute);
    bans.put(BanKey::under(kLimit, client(50'001)), kNow - kMinute, kNow);
    bans.put(BanKey::under(kLimit, client(50'003)), kNow + 1, kNow + kMinute);
    const auto lift_all = [&](std::optional<LimitId> limit, Nanos now) {
        std::size_t lifted = 0;
        bans.lift_all(limit, now, [&](const Ban& ban) {
            ++lifted;
            EXPECT_EQ(bans.find(ban.key, now), std::nullopt) << "told without a lock, when it is gone";
        });
        return lifted;
    };
    EXPECT_EQ(lift_all(kLimit, kNow), 10'000U) << "neither what is over nor what is new";
    EXPECT_EQ(bans.until(client(1), kLimit, kNow), 0);
    EXPECT_NE(bans.until(client(2), kOther, kNow), 0);
    EXPECT_NE(bans.until(client(50'003), kLimit, kNow), 0);
    EXPECT_NE(bans.until(address("192.0.2.1"), kNow), 0);
    EXPECT_EQ(lift_all(kLimit, kNow), 0U);
    EXPECT_EQ(lift_all(std::nullopt, kNow + 1), 10'002U);
    EXPECT_EQ(bans.until(address("192.0.2.1"), kNow), 0);
    EXPECT_EQ(bans.stats().lifted, 20'002U);
    EXPECT_EQ(expire_all(bans, kNow + 1), 1U);
    EXPECT_FALSE(bans.any());
    EXPECT_EQ(bans.stats().bytes, Bans(100'000).stats().bytes) << "the memory is given back";
}

TEST(Bans, ThreadsThatBanWhileAllAreLiftedAreHeeded) {
    Bans bans(1'000'000);
    std::atomic<std::uint64_t> lifted = 0;
    std::thread banning([&] {
        for (std::uint32_t n = 0; n < 50'000; ++n)
            bans.put(BanKey::under(kLimit, client(n)), kNow + n, kNow + kMinute);
    });
    for (int i = 0; i < 20; ++i)
        bans.lift_all(kLimit, kNow + 25'000, [&](const Ban& ban) {
            EXPECT_LE(ban.since, kNow + 25'000);
            ++lifted;
        });
    banning.join();
    bans.lift_all(kLimit, kNow + 25'000, [&](const Ban&) { ++lifted; });
    EXPECT_EQ(lifted, 25'001U);
    EXPECT_EQ(bans.stats().active, 50'000U - 25'001U);
}

TEST(Bans, ThreadsThatStrikeTogetherMakeOneBanEach) {
    Bans bans(1'000'000);  // so many that no key pushes another's refusals out
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (std::uint32_t n = 0; n < 20'000; ++n)
                if (bans.until(client(n), kLimit, kNow) == 0) bans.strike(client(n), kLimit, kRule, kNow);
        });
    for (auto& thread : threads) thread.join();
    for (std::uint32_t n = 0; n < 20'000; ++n) EXPECT_NE(bans.until(client(n), kLimit, kNow), 0) << n;
    EXPECT_EQ(bans.stats().active, 20'000U);
    EXPECT_EQ(bans.stats().made, 20'000U);
}

// Bans and the table of clients.

TEST(Bans, KeepTheirClientFromBeingForgottenAndEvicted) {
    ClientTable table(4);
    const Bucket bucket(1, std::chrono::seconds(1), 1);
    for (std::uint32_t n = 0; n < 4; ++n) table.take(client(n), kLimit, bucket, 1, kNow);
    table.bans().put(BanKey::under(kLimit, client(2)), kNow, kNow + 60 * kMinute);
    const Nanos later = kNow + 30 * kMinute;
    for (std::uint32_t n = 10; n < 100; ++n)
        table.take(client(n), kLimit, bucket, 1, later + n * kMinute / 10);
    EXPECT_TRUE(table.find(client(2), kLimit)) << "others went for room";
    EXPECT_FALSE(table.find(client(1), kLimit));

    const auto sweep_all = [&](Nanos now) {
        ClientTable::Swept swept;
        for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;)
            at = table.sweep(*at, 100, kMinute, now, swept);
        return swept.removed;
    };
    EXPECT_EQ(sweep_all(kNow + 59 * kMinute), 3U);
    EXPECT_TRUE(table.find(client(2), kLimit));
    EXPECT_EQ(sweep_all(kNow + 60 * kMinute), 1U) << "the ban is over";
    EXPECT_EQ(table.stats().tracked, 0U);
}

// A reload changes the unit that times of refusals are kept in.
TEST(Strikes, RefusalsUnderARuleOfAnotherScaleSayNothing) {
    Strikes strikes(1000);
    const StrikeRule slow(10, 120 * kSecond), fast(10, 2 * kSecond), coarse(100, 120 * kSecond);
    for (std::uint64_t key = 1; key <= 64; ++key) {
        Nanos now = 1'000'000 * kSecond + static_cast<Nanos>(key) * 777'777'777;
        for (int i = 0; i < 9; ++i) EXPECT_FALSE(strikes.add(key, slow, now));
        now += 4 * kSecond;
        const StrikeRule& next = key % 2 == 0 ? fast : coarse;
        for (int i = 0; i < 9; ++i) EXPECT_FALSE(strikes.add(key, next, now)) << key << ' ' << i;
        EXPECT_EQ(strikes.add(key, next, now), key % 2 == 0) << key;
    }
}

}  // namespace
}  // namespace sluice::limit
