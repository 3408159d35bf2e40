// Reloads that change a rate: what is owed in tokens stays owed in tokens.

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

const Rule kAMinute = Bucket(100, 1min, 20);  // 0.6 s for a token
const Rule kAnHour = Bucket(100, 1h, 20);     // 36 s

void carry_over(ClientTable& table, Nanos now) {
    for (std::optional<std::size_t> at = 0; at;) at = table.carry_over(*at, now);
}

/// `rule`, from now on that of limit 0. What was used is still where it was.
Rule come_into_force(ClientTable& table, Rule rule, Nanos now = kNow) {
    const std::array rules{ClientTable::Ruled{0, &rule}};
    table.come_into_force(rules, now);
    return rule;
}

/// The same in a table of two, which is full then: whoever comes shares a bucket, and 15 of its tokens are
/// used.
Rule share_a_bucket(ClientTable& table, Rule rule) {
    const Rule hold = Bucket(1, 24h, 1);
    const Rule before = come_into_force(table, rule);
    for (std::uint32_t n = 0; n < 2; ++n) EXPECT_TRUE(table.take(client(n), 1, hold, 1, kNow).admitted);
    EXPECT_EQ(admitted(table, client(7), before, kNow, 15), 15);
    return before;
}

Bucket any_bucket(std::mt19937_64& random) {
    static constexpr std::array<std::chrono::nanoseconds, 6> kPer{1us, 1s, 7s, 1min, 1h, 24h};
    const std::uint64_t count = 1 + random() % (std::uint64_t{1} << random() % 20);
    return Bucket(count, kPer[random() % kPer.size()], 1 + random() % (std::uint64_t{1} << random() % 12));
}

TEST(CarryOver, NobodyHasMoreTokensThanBeforeAndAtMostOneLess) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 200'000; ++round) {
        const Bucket before = any_bucket(random), after = any_bucket(random);
        State state;
        Nanos now = kNow;
        for (std::uint64_t i = random() % 30; i > 0; --i) {
            before.take(state, random() % 4 == 0 ? before.burst() : 1 + random() % before.burst(), now);
            now += static_cast<Nanos>(random() % (std::uint64_t{1} << random() % 40));
        }
        const std::uint64_t had = before.peek(state, 0, now).remaining;
        const State carried = after.adopt(state, before, now);
        const std::uint64_t has = after.peek(carried, 0, now).remaining;
        const std::uint64_t owed = before.burst() - had;  // in whole tokens, rounded up
        const std::uint64_t left = after.burst() - std::min(after.burst(), owed);
        ASSERT_LE(has, left) << "round " << round;
        ASSERT_GE(has + 1, left) << "round " << round;
        ASSERT_EQ(owes(carried, now), owes(state, now)) << "round " << round;
        const State back = before.adopt(carried, after, now);
        ASSERT_GE(before.until(back, before.burst(), now), before.until(state, before.burst(), now));
    }
}

TEST(CarryOver, IsExactWhereTheIntervalsAre) {
    std::mt19937_64 random(2);
    const Bucket minute(100, 1min, 20), hour(100, 1h, 20);
    for (int round = 0; round < 10'000; ++round) {
        const State state{kNow + static_cast<Nanos>(random() % 12'000'000'000), 0};
        const State carried = hour.adopt(state, minute, kNow);
        ASSERT_EQ(carried, (State{kNow + (state.tat - kNow) * 60, 0}));
        ASSERT_EQ(minute.adopt(carried, hour, kNow), state);
    }
}

TEST(CarryOver, TheLargestNumbersGiveNothingBack) {
    constexpr std::uint64_t kMost = 0xffffffff;
    const std::vector<Bucket> buckets{
        Bucket(1, 1ns, 1),
        Bucket(kMost, 1ns, std::uint64_t{1} << 62),
        Bucket(kMost, std::chrono::nanoseconds((1LL << 56) - 1), 1'000'000'000),
        Bucket(1, std::chrono::nanoseconds(1LL << 56), 63),
        Bucket(1, std::chrono::nanoseconds(1LL << 61), 1),
        Bucket(1, 1ns, (std::uint64_t{1} << 62) - 1),
        Bucket(1'000'000, 1s, 1'000'000),
        Bucket(10, 24h, 10),
    };
    for (const Bucket& before : buckets)
        for (const Bucket& after : buckets) {
            State state;
            ASSERT_TRUE(before.take(state, before.burst(), kNow).admitted);
            const State carried = after.adopt(state, before, kNow);
            const std::uint64_t more = after.burst() - std::min(after.burst(), before.burst());
            ASSERT_LE(after.peek(carried, 0, kNow).remaining, more);
            ASSERT_TRUE(more > 0 || !after.peek(carried, 1, kNow).admitted);
            const State back = before.adopt(carried, after, kNow);
            ASSERT_EQ(before.peek(back, 0, kNow).remaining, 0U);
        }
}

TEST(CarryOver, WhoHadUsedAllIsRefusedByTheNewRateAndTheOld) {
    for (const auto& [first, second] : {std::pair(kAMinute, kAnHour), std::pair(kAnHour, kAMinute)}) {
        ClientTable table(1000);
        const Rule before = come_into_force(table, first);
        for (std::uint32_t n = 0; n < 50; ++n) ASSERT_EQ(admitted(table, client(n), before, kNow, 30), 20);
        const Rule after = come_into_force(table, second);
        const Nanos interval = after.until(State{kNow, 0}, 21, kNow);
        const auto all_are_refused = [&] {
            for (std::uint32_t n = 0; n < 50; ++n) {
                for (const Rule* rule : {&before, &after}) {
                    ASSERT_EQ(table.peek(client(n), 0, *rule, 0, kNow).remaining, 0U);
                    ASSERT_FALSE(table.take(client(n), 0, *rule, 1, kNow).admitted);
                    std::array charges{ClientTable::Charge{client(n), 0, rule, 1, true}};
                    table.take_all(charges, kNow);
                    ASSERT_FALSE(charges[0].answer.admitted);
                }
                const auto record = table.find(client(n), 0);
                ASSERT_EQ(table.peek(*record, after, 1, kNow).retry_after, interval);
                ASSERT_EQ(table.until(client(n), 0, after, 1, 1, kNow), 2 * interval);
            }
        };
        all_are_refused();
        carry_over(table, kNow);
        all_are_refused();
        for (std::uint32_t n = 0; n < 50; ++n) {
            ASSERT_FALSE(table.take(client(n), 0, after, 1, kNow + interval - 1).admitted);
            ASSERT_TRUE(table.take(client(n), 0, after, 1, kNow + interval).admitted);
        }
    }
}

// A request of before the reload takes of the same tokens, and so does one of behind it that comes before the
// walk.
TEST(CarryOver, BothRatesTakeOfTheSameTokens) {
    for (const bool walked : {false, true})
        for (const auto& [first, second] : {std::pair(kAMinute, kAnHour), std::pair(kAnHour, kAMinute)}) {
            ClientTable table(1000);
            const Rule before = come_into_force(table, first);
            ASSERT_EQ(admitted(table, client(1), before, kNow, 5), 5);
            const Rule after = come_into_force(table, second);
            if (walked) carry_over(table, kNow);
            ASSERT_EQ(admitted(table, client(1), after, kNow, 5), 5);
            ASSERT_EQ(admitted(table, client(1), before, kNow, 5), 5);
            if (!walked) carry_over(table, kNow);
            ASSERT_EQ(table.peek(client(1), 0, before, 0, kNow).remaining, 5U);
            ASSERT_EQ(admitted(table, client(1), before, kNow, 3), 3);
            ASSERT_EQ(admitted(table, client(1), after, kNow, 30), 2);
        }
}

TEST(CarryOver, ManyReloadsGiveNothingBack) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 300; ++round) {
        ClientTable table(1000);
        constexpr std::uint64_t kBurst = 50;
        std::uint64_t taken = 0;
        std::vector<Rule> rules;
        for (int load = 0; load < 20; ++load) {
            const Rule next = Bucket(1 + random() % 1000, random() % 2 == 0 ? 1s : 1h, kBurst);
            rules.push_back(come_into_force(table, next));
            for (std::uint64_t i = random() % 6; i > 0; --i)
                taken += table.take(client(1), 0, rules[random() % rules.size()], 1, kNow).admitted;
            if (random() % 2 == 0) carry_over(table, kNow);
            ASSERT_LE(taken, kBurst);
        }
        // A token is lost for what was rounded, once.
        for (int i = 0; i < 60; ++i) taken += table.take(client(1), 0, rules.back(), 1, kNow).admitted;
        ASSERT_LE(taken, kBurst);
        ASSERT_GE(taken + 1, kBurst);
    }
}

TEST(CarryOver, SharedBucketsOweAsMuch) {
    for (const auto& [first, second] : {std::pair(kAMinute, kAnHour), std::pair(kAnHour, kAMinute)}) {
        ClientTable table(2);
        const Rule before = share_a_bucket(table, first);
        const Rule after = come_into_force(table, second);
        ASSERT_EQ(table.peek(client(8), 0, after, 0, kNow).remaining, 5U);
        ASSERT_EQ(admitted(table, client(8), after, kNow, 2), 2);
        std::array charges{ClientTable::Charge{client(8), 0, &before, 1, true}};
        table.take_all(charges, kNow);
        ASSERT_TRUE(charges[0].answer.admitted);
        carry_over(table, kNow);
        ASSERT_EQ(table.peek(client(9), 0, before, 0, kNow).remaining, 2U);
        table.set_max(3);
        ASSERT_EQ(admitted(table, client(10), after, kNow, 9), 2) << "its entry brings along what is owed";
        ASSERT_TRUE(table.find(client(10), 0));
    }
}

TEST(CarryOver, AnEntryMadeMeanwhileInheritsInTokens) {
    for (std::size_t shards = 0; shards < 40; ++shards) {  // of 32
        ClientTable table(2);
        const Rule before = share_a_bucket(table, kAMinute);
        const Rule after = come_into_force(table, kAnHour);
        std::optional<std::size_t> at = 0;
        for (std::size_t i = 0; i < shards && at; ++i) at = table.carry_over(*at, kNow);
        table.set_max(10);
        ASSERT_EQ(table.peek(client(10), 0, after, 0, kNow).remaining, 5U);
        ASSERT_EQ(admitted(table, client(10), after, kNow, 2), 2);
        ASSERT_EQ(admitted(table, client(11), before, kNow, 9), 5);
        while (at) at = table.carry_over(*at, kNow);
        ASSERT_EQ(admitted(table, client(10), after, kNow, 9), 3);
        ASSERT_EQ(admitted(table, client(11), after, kNow, 9), 0);
    }
}

TEST(CarryOver, WhatASlidingWindowWeighsStays) {
    const Rule second = SlidingWindow(10, 1s), hour = SlidingWindow(10, 1h);
    for (const auto& [from, to] : {std::pair(second, hour), std::pair(hour, second)})
        for (const Nanos later : {Nanos{0}, kSecond / 5, kSecond / 2}) {
            ClientTable table(1000);
            const Rule before = come_into_force(table, from);
            ASSERT_EQ(admitted(table, client(1), before, kNow, 12), 10);
            const Nanos in_the_next = kNow + kSecond + later;  // where the window before weighs the most
            admitted(table, client(1), before, in_the_next, 12);
            ASSERT_EQ(table.peek(client(1), 0, before, 0, in_the_next).remaining, 0U);
            const Rule after = come_into_force(table, to, in_the_next);
            EXPECT_EQ(admitted(table, client(1), after, in_the_next, 12), 0);
            EXPECT_EQ(admitted(table, client(1), before, in_the_next, 12), 0);
            carry_over(table, in_the_next);
            EXPECT_EQ(admitted(table, client(1), after, in_the_next, 12), 0);
            EXPECT_EQ(admitted(table, client(1), before, in_the_next, 12), 0);
            EXPECT_EQ(admitted(table, client(2), after, in_the_next, 12), 10) << "who had used nothing";
        }
}

TEST(CarryOver, WhoOwesNothingOwesNothing) {
    ClientTable table(1000);
    const Rule before = come_into_force(table, kAMinute);
    ASSERT_EQ(admitted(table, client(1), before, kNow, 20), 20);
    const Nanos full = kNow + 12 * kSecond;
    const Rule after = come_into_force(table, kAnHour, full);
    ASSERT_EQ(table.peek(client(1), 0, after, 0, full).remaining, 20U);
    carry_over(table, full);
    ASSERT_EQ(table.peek(client(1), 0, after, 0, full).remaining, 20U);
    ASSERT_EQ(sweep(table, 0, full + 2 * kSecond), 1U);
}

TEST(CarryOver, AnotherLimitUnderTheNumberIsNotConverted) {
    ClientTable table(1000);
    come_into_force(table, kAMinute);
    table.forget(0);
    const Rule other = come_into_force(table, kAnHour);
    EXPECT_EQ(other.epoch(), kFirstEpoch);
    EXPECT_EQ(admitted(table, client(1), other, kNow, 30), 20);
    EXPECT_EQ(come_into_force(table, Bucket(100, 1h, 30)).epoch(), kFirstEpoch) << "the burst alone";
    EXPECT_EQ(come_into_force(table, Bucket(200, 2h, 30)).epoch(), kFirstEpoch) << "the same rate";
}

// Under the rule in force and those before it, while reloads go on: at one moment, so that nothing flows in.
TEST(CarryOver, ThreadsGetNoMoreThanTheBurstWhileRatesChange) {
    constexpr std::uint32_t kClients = 400;  // 200 of them have no entry, and share a bucket
    constexpr int kLoads = 60;
    ClientTable table(kClients / 2 + 1);
    std::vector<Rule> rules(kLoads, kAMinute);
    std::atomic<int> current{0};
    const auto load = [&](int n) {
        rules[static_cast<std::size_t>(n)] = n % 2 == 0 ? kAMinute : kAnHour;
        const std::array change{ClientTable::Ruled{0, &rules[static_cast<std::size_t>(n)]}};
        table.come_into_force(change, kNow);
        current.store(n, std::memory_order_release);
    };
    load(0);
    const Rule hold = Bucket(1, 24h, 1);
    for (std::uint32_t n = kClients; n < kClients + kClients / 2 + 1; ++n)
        if (n % 2 == 0) table.take(client(n), 1, hold, 1, kNow);
    std::vector<std::atomic<int>> admitted(kClients);
    std::atomic<int> shared{0};
    std::vector<std::thread> threads;
    std::atomic<bool> stop{false};
    for (std::uint32_t t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(t);
            while (!stop) {
                const auto n = static_cast<std::uint32_t>(random() % kClients);
                const int newest = current.load(std::memory_order_acquire);
                const int late = std::min(newest, static_cast<int>(random() % 3));
                const Rule& rule = rules[static_cast<std::size_t>(newest - late)];
                if (random() % 2 == 0) {
                    admitted[n] += table.take(client(n), 0, rule, 1, kNow).admitted;
                } else {
                    const auto other = static_cast<std::uint32_t>(random() % kClients);
                    std::array charges{ClientTable::Charge{client(n), 0, &rule, 1, true},
                                       ClientTable::Charge{client(other), 2, &hold, 1, false}};
                    table.take_all(charges, kNow);
                    admitted[n] += charges[0].answer.admitted;
                }
            }
        });
    for (int n = 1; n < kLoads; ++n) {
        load(n);
        for (std::optional<std::size_t> at = 0; at;) {
            at = table.carry_over(*at, kNow);
            if (n % 3 == 0) std::this_thread::yield();
        }
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    int without_entry = 0;
    for (std::uint32_t n = 0; n < kClients; ++n) {
        EXPECT_LE(admitted[n], 20) << "client " << n;
        if (!table.find(client(n), 0)) without_entry += admitted[n];
    }
    EXPECT_LE(without_entry, 20) << "of one block";
}

}  // namespace
}  // namespace sluice::limit
