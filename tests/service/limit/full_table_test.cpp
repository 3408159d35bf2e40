// The second promise: a flood of keys gives no quota back, and takes no more room.

#include <cstdint>
#include <random>

#include <gtest/gtest.h>

#include "runtime/sanitizer.h"
#include "service/limit/client_table.h"
#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

TEST(ClientTable, FloodDoesNotPushOutADrainedClient) {
    constexpr std::uint32_t kFlood = runtime::kAsan || runtime::kTsan ? 1'000'000 : 10'000'000;
    ClientTable table(1000);
    ASSERT_EQ(admitted(table, client(0), kHundredAnHour, kNow, 200), 100);
    for (std::uint32_t n = 1; n < kFlood; ++n) {
        table.take(client(n * 257), 0, kHundredAnHour, 1, kNow);
        if (n % 1000 == 0) {
            ASSERT_LE(table.stats().tracked, 1000U);
        }
    }
    EXPECT_EQ(admitted(table, client(0), kHundredAnHour, kNow, 200), 0);
    EXPECT_EQ(table.stats().evicted_full, 0U);
    EXPECT_GT(table.stats().shared, kFlood / 10 * 9);
}

TEST(ClientTable, NewClientsOfAFullTableShareABucketForEachBlock) {
    ClientTable table(10);
    for (std::uint32_t n = 0; n < 10; ++n) table.take(client(n << 16), 0, kHundredAnHour, 1, kNow);
    for (std::uint32_t block = 0; block < 200; ++block) {
        int taken = 0;
        for (std::uint32_t n = 1; n < 300; ++n)
            taken += table.take(client(block << 16 | n), 0, kHundredAnHour, 1, kNow).admitted;
        EXPECT_EQ(taken, 100) << block;
    }
    EXPECT_TRUE(table.take(client(1), 1, kTen, 1, kNow).admitted) << "another limit has buckets of its own";
    EXPECT_EQ(table.stats().tracked, 10U);
}

TEST(ClientTable, PeekAtAFullTableLooksAtTheSharedBucket) {
    ClientTable table(3);
    for (std::uint32_t n = 0; n < 3; ++n) table.take(client(n), 0, kHundredAnHour, 1, kNow);
    for (std::uint32_t n = 10; n < 300; ++n) {
        const auto told = table.peek(client(n), 0, kHundredAnHour, 1, kNow);
        const auto got = table.take(client(n), 0, kHundredAnHour, 1, kNow);
        ASSERT_EQ(told.admitted, got.admitted);
        ASSERT_EQ(told.remaining, got.remaining);
    }
}

TEST(ClientTable, FullTableForgetsFirstWhoOwesNothing) {
    ClientTable table(100);
    for (std::uint32_t n = 0; n < 99; ++n) table.take(client(n), 0, kHundredAnHour, 1, kNow);
    table.take(client(99), 0, kTen, 1, kNow);
    EXPECT_TRUE(table.take(client(1000), 0, kHundredAnHour, 1, kNow + kSecond).admitted);
    EXPECT_EQ(table.find(client(99), 0), std::nullopt);
    EXPECT_TRUE(table.find(client(1000), 0));
    EXPECT_EQ(table.stats().evicted_full, 1U);
    EXPECT_EQ(table.stats().tracked, 100U);
    EXPECT_EQ(table.clients(0), 100U);
}

TEST(ClientTable, OfThoseWhoOweNothingTheLongestUnseenGoes) {
    ClientTable table(50);
    for (std::uint32_t n = 0; n < 50; ++n) table.take(client(n), 0, kTen, 1, kNow + (n * 7 % 50) * kSecond);
    const Nanos later = kNow + kMinute;
    for (std::uint32_t k = 0; k < 40; ++k) {
        table.take(client(1000 + k), 0, kHundredAnHour, 1, later);
        for (std::uint32_t n = 0; n < 50; ++n)
            EXPECT_EQ(table.find(client(n), 0).has_value(), n * 7 % 50 > k) << k;
    }
}

TEST(ClientTable, LoweredMaximumLetsTheTableShrinkAsClientsLeave) {
    ClientTable table(100);
    for (std::uint32_t n = 0; n < 100; ++n) table.take(client(n), 0, kTen, 1, kNow);
    table.set_max(10);
    table.take(client(1000), 0, kHundredAnHour, 1, kNow + kMinute);
    EXPECT_LE(table.stats().tracked, 100U);
    sweep(table, kSecond, kNow + 10 * kMinute);
    for (std::uint32_t n = 0; n < 100; ++n) table.take(client(n), 0, kHundredAnHour, 1, kNow + 10 * kMinute);
    EXPECT_EQ(table.stats().tracked, 10U);
}

TEST(ClientTable, LoweredMaximumIsReachedThoughNewClientsKeepComing) {
    ClientTable table(1000);
    std::uint32_t n = 0;
    for (; n < 1000; ++n) table.take(client(n), 0, kTen, 1, kNow);
    table.set_max(10);
    for (; n < 2000; ++n) table.take(client(n), 0, kTen, 1, kNow + n * kSecond);
    EXPECT_EQ(table.stats().tracked, 10U);
    EXPECT_EQ(table.clients(0), 10U);
}

TEST(ClientTable, WhoOwesNothingMakesRoomInWhateverPartOfASmallTable) {
    ClientTable table(20);
    for (std::uint32_t n = 0; n < 19; ++n) table.take(client(n), 0, kHundredAnHour, 1, kNow);
    for (std::uint32_t n = 100; n < 200; ++n) {
        const Nanos now = kNow + (n - 99) * kSecond;
        table.take(client(n), 1, kTen, 1, now);  // in the place of the one before
        EXPECT_TRUE(table.find(client(n), 1));
        EXPECT_EQ(table.stats().tracked, 20U);
    }
    EXPECT_EQ(table.stats().shared, 0U);
}

// In a table that was made for few, the longest lock would be that of a shard with all of them.
TEST(ClientTable, RaisedMaximumGrowsNoShardsOfHundredThousands) {
    ClientTable table(10);
    table.set_max(400'000);
    for (std::uint32_t n = 0; n < 400'000; ++n) table.take(client(n), 0, kTen, 1, kNow);
    EXPECT_EQ(table.stats().tracked, 400'000U);
    ClientTable::Swept swept;
    std::uint64_t most = 0;
    const Nanos later = kNow + 10 * kMinute;
    for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;) {
        const std::uint64_t before = swept.removed, shard = at->shard;
        do at = table.sweep(*at, 32, kSecond, later, swept);
        while (at && at->shard == shard);
        most = std::max(most, swept.removed - before);
    }
    EXPECT_EQ(swept.removed, 400'000U);
    EXPECT_LT(most, 25'000U) << "entries of one shard";
}

TEST(ClientTable, WhateverFloodsTheTableNobodyGetsMoreThanTheClosedForm) {
    const Rule bucket = Bucket(1, 10s, 10);
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        std::mt19937_64 random(seed);
        ClientTable table(20, seed);
        ClosedForm form{10, 10 * kSecond};
        Nanos now = kNow;
        for (int i = 0; i < 20'000; ++i) {
            now += static_cast<Nanos>(random() % (kSecond / 4));
            const auto n = static_cast<std::uint32_t>(random() % 2 ? random() % 5 : random() % 500);
            if (table.take(client(n), 0, bucket, 1, now).admitted) form.admit(n, now);
            ASSERT_LE(table.stats().tracked, 20U);
        }
        EXPECT_GT(table.stats().evicted_full, 0U);
        EXPECT_GT(table.stats().shared, 0U);
    }
}

}  // namespace
}  // namespace sluice::limit
