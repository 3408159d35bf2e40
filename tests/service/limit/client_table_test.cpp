#include "service/limit/client_table.h"

#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

TEST(ClientTable, ClientsAreCountedApartAndSoAreLimits) {
    ClientTable table(1000);
    for (std::uint32_t n = 0; n < 10; ++n)
        for (LimitId limit = 0; limit < 3; ++limit)
            for (int i = 0; i < 25; ++i)
                EXPECT_EQ(table.take(client(n), limit, kTen, 1, kNow).admitted, i < 20);
    EXPECT_EQ(table.stats().tracked, 30U);
    EXPECT_EQ(table.clients(2), 10U);
    EXPECT_EQ(table.clients(3), 0U);
    const auto record = table.find(client(7), 1);
    ASSERT_TRUE(record);
    EXPECT_EQ(record->allowed, 20U);
    EXPECT_EQ(record->denied, 5U);
    EXPECT_EQ(record->last_seen, ClientTable::seconds(kNow));
    EXPECT_EQ(table.find(client(7), 3), std::nullopt);
}

TEST(ClientTable, PeekTellsWhatTakeWouldAndChangesNothing) {
    ClientTable table(1000);
    std::mt19937_64 random(1);
    for (int i = 0; i < 10'000; ++i) {
        const ClientKey key = client(random() % 20);
        const Nanos now = kNow + i * kSecond / 100;
        const std::uint64_t cost = random() % 5;
        const auto told = table.peek(key, 0, kTen, cost, now);
        const auto got = table.take(key, 0, kTen, cost, now);
        ASSERT_EQ(told.admitted, got.admitted);
        ASSERT_EQ(told.remaining, got.remaining);
        ASSERT_EQ(told.retry_after, got.retry_after);
    }
    table.peek(client(1000), 0, kTen, 1, kNow);
    EXPECT_EQ(table.find(client(1000), 0), std::nullopt);
}

TEST(ClientTable, ErasedClientStartsWithAFullBucket) {
    ClientTable table(1000);
    EXPECT_EQ(admitted(table, client(1), kHundredAnHour, kNow, 200), 100);
    EXPECT_TRUE(table.erase(client(1), 0));
    EXPECT_FALSE(table.erase(client(1), 0));
    EXPECT_EQ(admitted(table, client(1), kHundredAnHour, kNow, 200), 100);
}

// Against a map: whatever is added, removed and looked up, in whatever order.
TEST(ClientTable, HoldsWhatAMapWould) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        std::mt19937_64 random(seed);
        ClientTable table(100'000, seed);
        std::map<std::uint32_t, std::uint32_t> model;
        const std::uint32_t keys = 1 + random() % 5000;
        for (int i = 0; i < 20'000; ++i) {
            const auto n = static_cast<std::uint32_t>(random() % keys);
            if (random() % 3 == 0) {
                ASSERT_EQ(table.erase(client(n), 0), model.erase(n) > 0);
            } else {
                table.take(client(n), 0, kTen, 0, kNow);
                ++model[n];
            }
            const auto other = static_cast<std::uint32_t>(random() % keys);
            const auto record = table.find(client(other), 0);
            ASSERT_EQ(record.has_value(), model.contains(other));
            if (record) {
                ASSERT_EQ(record->allowed, model[other]);
            }
        }
        EXPECT_EQ(table.stats().tracked, model.size());
        EXPECT_EQ(table.clients(0), model.size());
        std::set<ClientKey> seen;
        table.each([&](const ClientRecord& record) { EXPECT_TRUE(seen.insert(record.key).second); });
        EXPECT_EQ(seen.size(), model.size());
    }
}

TEST(ClientTable, ClientOfAFullTableCostsFortyEightBytesAllTold) {
    for (const std::uint32_t max : {50'000U, 100'000U, 150'000U, 300'000U}) {
        ClientTable table(max, 7);
        for (std::uint32_t n = 0; n < max; ++n) table.take(client(n), 0, kTen, 1, kNow);
        ASSERT_EQ(table.stats().tracked, max);
        EXPECT_LE(table.stats().bytes / max, 48U) << max;
    }
}

}  // namespace
}  // namespace sluice::limit
