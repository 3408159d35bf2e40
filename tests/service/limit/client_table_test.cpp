#include "service/limit/client_table.h"

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using namespace std::chrono_literals;

const Rule kTen = Bucket(10, 1s, 20);
const Rule kHundredAnHour = Bucket(100, 1h, 100);

std::uint64_t sweep(ClientTable& table, Nanos idle, Nanos now, std::size_t slice = 100) {
    ClientTable::Swept swept;
    for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;)
        at = table.sweep(*at, slice, idle, now, swept);
    return swept.removed;
}

int admitted(ClientTable& table, const ClientKey& key, const Rule& bucket, Nanos now, int attempts) {
    int admitted = 0;
    for (int i = 0; i < attempts; ++i) admitted += table.take(key, 0, bucket, 1, now).admitted;
    return admitted;
}

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

// The first promise: forgetting never gives quota back.

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
            ASSERT_LE(slice.pages, 1U) << percent;
            all.looked_at += slice.looked_at;
            all.removed += slice.removed;
            all.pages += slice.pages;
        }
        EXPECT_EQ(all.removed, kClients / 100 * percent);
        EXPECT_LE(all.looked_at, 4 * kClients) << percent;
        EXPECT_EQ(all.pages > 0, percent >= 60) << percent;
    }
}

TEST(ClientTable, EmptiedTableGivesItsMemoryBack) {
    ClientTable table(1'000'000);
    const std::uint64_t before = table.stats().bytes;
    for (std::uint32_t n = 0; n < 200'000; ++n) table.take(client(n), 0, kTen, 1, kNow);
    ASSERT_GT(table.stats().bytes, 200'000U * 40);
    ASSERT_EQ(sweep(table, kMinute, kNow + 2 * kMinute), 200'000U);
    EXPECT_LT(table.stats().bytes, before + 1'000'000);
}

/// What a client is owed at most: `burst` and what has flowed in since it was seen first.
struct ClosedForm {
    std::uint64_t burst;
    Nanos interval;
    std::map<std::uint32_t, std::pair<Nanos, std::uint64_t>> clients{};

    /// REQUIRES: `admitted` is so.
    void admit(std::uint32_t n, Nanos now) {
        auto& [first, count] = clients.try_emplace(n, now, 0).first->second;
        ++count;
        ASSERT_LE(count, burst + static_cast<std::uint64_t>((now - first) / interval)) << "client " << n;
    }
};

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

// The second promise: a flood of keys gives no quota back, and takes no more room.

TEST(ClientTable, FloodDoesNotPushOutADrainedClient) {
    ClientTable table(1000);
    ASSERT_EQ(admitted(table, client(0), kHundredAnHour, kNow, 200), 100);
    for (std::uint32_t n = 1; n < 1'000'000; ++n) {
        table.take(client(n * 257), 0, kHundredAnHour, 1, kNow);
        if (n % 1000 == 0) {
            ASSERT_LE(table.stats().tracked, 1000U);
        }
    }
    EXPECT_EQ(admitted(table, client(0), kHundredAnHour, kNow, 200), 0);
    EXPECT_EQ(table.stats().evicted_full, 0U);
    EXPECT_GT(table.stats().shared, 900'000U);
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

// Threads.

TEST(ClientTable, ThreadsAtOnceGetPreciselyTheClosedForm) {
    constexpr int kThreads = 4, kEach = 250'000, kClients = 5;
    const Rule bucket = Bucket(1, 1ms, 1000);  // time moves on: 1 ms for each 100 attempts of one thread
    ClientTable table(1000);
    std::array<std::atomic<int>, kClients> admitted{};
    std::atomic<Nanos> clock{kNow};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i) {
                const Nanos now = clock.fetch_add(2500);
                const auto n = static_cast<std::uint32_t>(i + t) % kClients;
                admitted[n] += table.take(client(n), 0, bucket, 1, now).admitted;
            }
        });
    for (auto& thread : threads) thread.join();
    // A million attempts over 2.5 s: 1000 at once and 2500 more, and who asks a hundred times a token misses
    // none.
    for (const auto& each : admitted) {
        EXPECT_LE(each, 1000 + 2500);
        EXPECT_GE(each, 1000 + 2499);
    }
}

TEST(ClientTable, MaximumHoldsAtEveryMomentWhileThreadsAddAndSweep) {
    constexpr std::uint64_t kMax = 500;
    ClientTable table(kMax);
    std::atomic<bool> stop{false};
    std::atomic<Nanos> clock{kNow};
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(t);
            for (int i = 0; i < 200'000; ++i)
                table.take(client(static_cast<std::uint32_t>(random() % 5000)), 0, kTen, 1,
                           clock.fetch_add(kSecond / 1000));
        });
    std::thread sweeper([&] {
        while (!stop) sweep(table, 0, clock, 50);
    });
    std::thread watcher([&] {
        while (!stop) ASSERT_LE(table.stats().tracked, kMax);
    });
    for (auto& thread : threads) thread.join();
    stop = true;
    sweeper.join();
    watcher.join();
    std::uint64_t entries = 0;
    table.each([&](const ClientRecord&) { ++entries; });
    EXPECT_EQ(entries, table.stats().tracked);
    EXPECT_EQ(entries, table.clients(0));
    EXPECT_LE(entries, kMax);
}

// take_all.

TEST(TakeAll, OneThatRefusesSparesAllAndOneThatMayNotIsPassedOver) {
    ClientTable table(1000);
    const Rule one = Bucket(1, 1h, 1), three = Bucket(1, 1h, 3);
    const auto charge = [&](bool tight_may_refuse) {
        std::array charges{ClientTable::Charge{client(1), 0, &three, 1, true},
                           ClientTable::Charge{client(1), 1, &one, 1, tight_may_refuse},
                           ClientTable::Charge{client(2), 2, &three, 2, true}};
        table.take_all(charges, kNow);
        return charges;
    };
    auto charges = charge(true);
    for (const auto& each : charges) EXPECT_TRUE(each.asked && each.answer.admitted);
    charges = charge(true);
    EXPECT_TRUE(charges[0].answer.admitted);
    EXPECT_FALSE(charges[1].answer.admitted);
    EXPECT_FALSE(charges[2].asked);
    EXPECT_EQ(table.peek(client(1), 0, three, 0, kNow).remaining, 2U);
    EXPECT_EQ(table.peek(client(2), 2, three, 0, kNow).remaining, 1U);
    EXPECT_EQ(table.find(client(1), 0)->allowed, 1U);
    EXPECT_EQ(table.find(client(1), 1)->denied, 1U);
    charges = charge(false);
    EXPECT_FALSE(charges[1].answer.admitted);
    EXPECT_FALSE(charges[2].answer.admitted);
    EXPECT_EQ(table.peek(client(1), 0, three, 0, kNow).remaining, 2U);
}

TEST(TakeAll, InAFullTableTheSharedBucketsAreChargedAllOrNone) {
    ClientTable table(4);
    for (std::uint32_t n = 0; n < 4; ++n) table.take(client(n), 9, kHundredAnHour, 1, kNow);
    const Rule two = Bucket(1, 1h, 2), five = Bucket(1, 1h, 5);
    int admitted = 0;
    for (std::uint32_t n = 10; n < 30; ++n) {
        std::array charges{ClientTable::Charge{client(n), 0, &five, 1, true},
                           ClientTable::Charge{client(n), 1, &two, 1, true}};
        table.take_all(charges, kNow);
        admitted += charges[1].asked && charges[1].answer.admitted;
    }
    EXPECT_EQ(admitted, 2);
    EXPECT_EQ(table.peek(client(50), 0, five, 0, kNow).remaining, 3U);
}

TEST(TakeAll, ChargesOfOneRequestDoNotPushEachOtherOut) {
    const Rule three = Bucket(1, 1h, 3);
    for (std::uint64_t max = 1; max <= 8; ++max) {
        ClientTable table(max);
        int admitted = 0;
        for (int i = 0; i < 20; ++i) {
            std::array<ClientTable::Charge, 8> charges{};
            for (std::size_t l = 0; l < charges.size(); ++l)
                charges[l] = {client(1), static_cast<LimitId>(l), &three, 1, true};
            table.take_all(charges, kNow);
            admitted += charges.back().asked && charges.back().answer.admitted;
            ASSERT_LE(table.stats().tracked, max);
        }
        EXPECT_EQ(admitted, 3) << max;
    }
}

}  // namespace
}  // namespace sluice::limit
