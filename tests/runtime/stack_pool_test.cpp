#include <algorithm>
#include <array>
#include <random>
#include <span>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/stack.h"

namespace sluice::runtime {
namespace {

constexpr std::size_t kUsual = std::size_t{16} << 10;
constexpr std::size_t kBag = StackPool::kBag;

std::vector<Task*> take(StackPool& pool, unsigned stack_class, std::size_t count) {
    std::vector<Task*> taken(count);
    taken.resize(pool.take(stack_class, taken));
    return taken;
}

TEST(StackPool, ABagThatWasGivenIsTheNextTaken) {
    StackPool pool(kUsual);
    std::vector<Task*> bag;
    while (bag.size() < kBag) bag.push_back(take(pool, 1, 1).at(0));
    pool.give(1, bag);
    EXPECT_EQ(take(pool, 1, kBag), bag);
}

TEST(StackPool, ABagIsOpenedForWhoTakesOne) {
    StackPool pool(kUsual);
    std::vector<Task*> bag;
    while (bag.size() < kBag) bag.push_back(take(pool, 1, 1).at(0));
    pool.give(1, bag);
    std::vector<Task*> singly;
    while (singly.size() < kBag) singly.push_back(take(pool, 1, 1).at(0));
    EXPECT_EQ(singly, bag);
    EXPECT_EQ(std::ranges::count(bag, take(pool, 1, 1).at(0)), 0) << "all are taken: a new one";
}

constexpr Time kNow{std::chrono::hours(1)};

// A free stack of the usual class that belonged to a task until `since`, and has so many pages below the top.
void leave_stack(StackPool& pool, std::size_t pages, Time since = kNow) {
    Task& task = *take(pool, 1, 1).at(0);
    for (std::size_t i = 0; i < pages; ++i) static_cast<volatile char*>(task.stack_bottom)[i * 4096] = 1;
    task.since.store(since.time_since_epoch().count());
}
constexpr std::size_t kDeep = StackPool::kWarmPages + 1;

TEST(StackPool, WhatWasDeepIsGivenBackOnceItIsIdle) {
    StackPool pool(std::size_t{256} << 10);
    leave_stack(pool, kDeep);
    EXPECT_TRUE(pool.trim(kNow - Duration(1))) << "it is left";
    EXPECT_EQ(pool.trimmed(), 0U);
    EXPECT_FALSE(pool.trim(kNow));
    EXPECT_EQ(pool.trimmed(), 1U);
}

// The watcher has others to look after.
TEST(StackPool, TrimmingManyIsInterruptedEverySixteen) {
    StackPool pool(std::size_t{256} << 10);
    for (int i = 0; i < 300; ++i) leave_stack(pool, kDeep);  // of two slabs
    std::uint64_t last = 0;
    int calls = 0;
    pool.trim(kNow, [&] {
        ++calls;
        EXPECT_LE(pool.trimmed() - last, 16U);
        last = pool.trimmed();
    });
    EXPECT_EQ(pool.trimmed(), 300U);
    EXPECT_GE(calls, 2 + 300 / 16);
}

TEST(StackPool, WhatIsUsedAgainAndAgainIsGivenBackInItsTurn) {
    StackPool pool(std::size_t{256} << 10);
    for (int i = 0; i < 10; ++i) leave_stack(pool, kDeep);
    for (std::size_t i = 0; i < StackPool::kTurns; ++i) {
        const std::uint64_t before = pool.trimmed();
        pool.trim(Time{});
        EXPECT_LE(pool.trimmed() - before, 1U) << "one at a time";
    }
    EXPECT_EQ(pool.trimmed(), 10U);
}

TEST(StackPool, TheLastToBecomeFreeStayAsTheyAreForAWhile) {
    StackPool pool(std::size_t{256} << 10);
    for (std::size_t i = 0; i < StackPool::kWarm + 6; ++i)
        leave_stack(pool, StackPool::kWarmPages, kNow + std::chrono::milliseconds(i));
    const Time last = kNow + std::chrono::milliseconds(StackPool::kWarm + 5);
    EXPECT_TRUE(pool.trim(last)) << "some are left";
    EXPECT_EQ(pool.trimmed(), 6U);
    EXPECT_TRUE(pool.trim(kNow + StackPool::kWarmFor));
    EXPECT_EQ(pool.trimmed(), 6U) << "and stay";
    EXPECT_FALSE(pool.trim(last + StackPool::kWarmFor + Duration(1)));
    EXPECT_EQ(pool.trimmed(), StackPool::kWarm + 6);
    EXPECT_FALSE(pool.trim(last + 2 * StackPool::kWarmFor));
    EXPECT_EQ(pool.trimmed(), StackPool::kWarm + 6) << "once";
}

// Threads take and give bags and single ones. Each writes its mark on what it holds, and finds it there
// later.
TEST(StackPool, NobodyGetsAStackThatAnotherHolds) {
    constexpr int kThreads = 4, kSteps = 20'000;
    StackPool pool(kUsual);
    std::vector<std::thread> threads;
    std::array<bool, kThreads> kept{};
    for (std::uint64_t t = 0; t < kThreads; ++t) {
        threads.emplace_back([&pool, &kept = kept[t], t] {
            std::mt19937_64 random(t);
            std::vector<Task*> held;
            kept = true;
            for (int i = 0; i < kSteps; ++i) {
                const std::size_t count = random() % 2 == 0 ? 1 : kBag;
                if (random() % 2 == 0 && held.size() < 4 * kBag) {
                    for (Task* const task : take(pool, 1, count)) {
                        task->line = static_cast<std::uint32_t>(t);
                        held.push_back(task);
                    }
                } else if (held.size() >= count) {
                    std::ranges::shuffle(held, random);
                    const auto given = std::span(held).last(count);
                    for (Task* const task : given) kept = kept && task->line == t;
                    pool.give(1, given);
                    held.resize(held.size() - count);
                }
            }
            pool.give(1, std::span(held).first(held.size() % kBag));
        });
    }
    for (auto& thread : threads) thread.join();
    for (const bool mark : kept) EXPECT_TRUE(mark);
    EXPECT_LE(pool.reserved(), std::size_t{64} << 20) << "what was given was used again";
}

}  // namespace
}  // namespace sluice::runtime
