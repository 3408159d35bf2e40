// The first promise: forgetting never gives quota back. And that sweeps see all, in small slices.

#include <cstdint>
#include <random>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

TEST(ClientTable, DrainedClientIsNotForgottenBeforeItOwesNothing) {
    ClientTable table(1000);
    ASSERT_EQ(admitted(table, client(1), kHundredAnHour, kNow, 200), 100);
    EXPECT_EQ(sweep(table, 3 * kMinute, kNow + 10 * kMinute), 0U);
    EXPECT_EQ(admitted(table, client(1), kHundredAnHour, kNow + 10 * kMinute, 200), 16);
    EXPECT_EQ(sweep(table, 3 * kMinute, kNow + 80 * kMinute), 1U);
    EXPECT_EQ(admitted(table, client(1), kHundredAnHour, kNow + 80 * kMinute, 200), 100);
}

TEST(ClientTable, ClientSeenLatelyIsNotForgotten) {
    ClientTable table(1000);
    table.take(client(1), 0, kTen, 1, kNow);
    EXPECT_EQ(sweep(table, 3 * kMinute, kNow + 3 * kMinute - 1), 0U);
    EXPECT_EQ(sweep(table, 3 * kMinute, kNow + 3 * kMinute + 2 * kSecond), 1U);
    EXPECT_EQ(table.stats().evicted_idle, 1U);
    EXPECT_EQ(table.stats().tracked, 0U);
}

TEST(ClientTable, ClientSeenByAThreadWithALaterClockIsNotForgotten) {
    ClientTable table(1000);
    table.take(client(1), 0, kTen, 0, kNow + kSecond);
    EXPECT_EQ(sweep(table, kMinute, kNow), 0U);
}

TEST(ClientTable, SecondsOfLastSeenWrap) {
    constexpr Nanos kWrap = (Nanos{1} << 24) * kSecond;
    ClientTable table(1000);
    table.take(client(1), 0, kTen, 1, kWrap - kSecond);
    EXPECT_EQ(sweep(table, kMinute, kWrap + 30 * kSecond), 0U);
    EXPECT_EQ(ClientTable::unseen_seconds(table.find(client(1), 0)->last_seen, kWrap + 30 * kSecond), 31U);
    EXPECT_EQ(sweep(table, kMinute, kWrap + 62 * kSecond), 1U);
}

TEST(ClientTable, SweepFindsAllWhateverItsSlices) {
    for (const std::size_t slice : {1U, 7U, 32U, 33U, 1000U, 1'000'000U}) {
        ClientTable table(100'000);
        for (std::uint32_t n = 0; n < 10'000; ++n)
            table.take(client(n), 0, n % 3 == 0 ? kHundredAnHour : kTen, n % 3 == 0 ? 100 : 1, kNow);
        EXPECT_EQ(sweep(table, kMinute, kNow + 2 * kMinute, slice), 6666U) << slice;
        EXPECT_EQ(sweep(table, kMinute, kNow + 2 * kMinute, slice), 0U);
        EXPECT_EQ(sweep(table, kMinute, kNow + 2 * 60 * kMinute, slice), 3334U);
        EXPECT_EQ(table.stats().tracked, 0U);
    }
}

// Of a full table nobody leaves, few, most, all. Work is counted, so that no other load makes it fail.
TEST(ClientTable, SliceOfASweepDoesLittleWhoeverLeaves) {
    constexpr std::uint32_t kClients = 200'000;
    constexpr std::uint64_t kWork = 1024, kLongestRun = 1024, kHalfAShard = 1024;
    for (const std::uint32_t percent : {0U, 1U, 10U, 60U, 99U, 100U}) {
        ClientTable table(kClients, 1 + percent);
        for (std::uint32_t n = 0; n < kClients; ++n)
            table.take(client(n), 0, n % 100 < percent ? kTen : kHundredAnHour, 1, kNow);
        ClientTable::Swept all;
        for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;) {
            ClientTable::Swept slice;
            at = table.sweep(*at, kWork, kMinute / 4, kNow + kMinute / 2, slice);
            ASSERT_LE(slice.looked_at + slice.removed, kWork + kLongestRun) << percent;
            ASSERT_LE(slice.moved, slice.looked_at == 0 ? kHalfAShard : 0) << percent;
            all.looked_at += slice.looked_at;
            all.removed += slice.removed;
        }
        EXPECT_EQ(all.removed, kClients / 100 * percent);
        EXPECT_LE(all.looked_at, 4 * kClients) << percent;
        EXPECT_EQ(table.give_back(0).has_value(), percent >= 60) << percent;
    }
}

TEST(ClientTable, EmptiedTableGivesItsMemoryBack) {
    ClientTable table(1'000'000);
    const std::uint64_t before = table.stats().bytes;
    for (std::uint32_t n = 0; n < 200'000; ++n) table.take(client(n), 0, kTen, 1, kNow);
    ASSERT_GT(table.stats().bytes, 200'000U * 40);
    ASSERT_EQ(sweep(table, kMinute, kNow + 2 * kMinute), 200'000U);
    std::uint64_t held = table.stats().bytes;
    for (std::optional<std::size_t> shard = table.give_back(0); shard; shard = table.give_back(*shard)) {
        ASSERT_LE(held - table.stats().bytes, 16U * 4096) << "at once";
        held = table.stats().bytes;
    }
    EXPECT_LT(table.stats().bytes, before + 1'000'000);
}

TEST(ClientTable, WhateverIsSweptWheneverNobodyGetsMoreThanTheClosedForm) {
    const Rule bucket = Bucket(1, 10s, 10);
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        std::mt19937_64 random(seed);
        ClientTable table(10'000, seed);
        ClosedForm form{10, 10 * kSecond};
        ClientTable::Cursor cursor;
        Nanos now = kNow;
        for (int i = 0; i < 20'000; ++i) {
            now += static_cast<Nanos>(random() % (kSecond / 2));
            const auto n = static_cast<std::uint32_t>(random() % 50);
            if (table.take(client(n), 0, bucket, 1, now).admitted) form.admit(n, now);
            ClientTable::Swept swept;
            cursor = table.sweep(cursor, random() % 50, 0, now, swept).value_or(ClientTable::Cursor{});
        }
        EXPECT_GT(table.stats().evicted_idle, 0U);
    }
}

}  // namespace
}  // namespace sluice::limit
