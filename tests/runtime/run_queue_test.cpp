#include "runtime/run_queue.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

struct Item {
    std::atomic<int> taken{0};
};
using SmallQueue = RunQueue<Item, 4>;

TEST(RunQueue, IsFirstInFirstOut) {
    SmallQueue queue;
    Item items[3];
    for (Item& item : items) EXPECT_TRUE(queue.push(&item));
    for (Item& item : items) EXPECT_EQ(queue.pop(), &item);
    EXPECT_EQ(queue.pop(), nullptr);
}

TEST(RunQueue, RefusesWhatDoesNotFitAndTakesItLater) {
    SmallQueue queue;
    Item items[5];
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(queue.push(&items[i]));
    EXPECT_FALSE(queue.push(&items[4]));
    EXPECT_EQ(queue.pop_unshared(), &items[0]);
    EXPECT_TRUE(queue.push(&items[4]));
}

TEST(RunQueue, GivesAThiefTheOlderHalf) {
    SmallQueue queue;
    SmallQueue thief;
    Item items[3];
    for (Item& item : items) queue.push(&item);
    EXPECT_EQ(queue.steal_half(thief), &items[1]);
    EXPECT_EQ(thief.pop(), &items[0]);
    EXPECT_EQ(queue.pop(), &items[2]);
    EXPECT_EQ(queue.steal_half(thief), nullptr);
}

TEST(RunQueue, SpillsTheOlderHalf) {
    SmallQueue queue;
    Item items[4];
    for (Item& item : items) queue.push(&item);
    std::vector<Item*> spilled;
    queue.spill_half([&](Item* item) { spilled.push_back(item); });
    EXPECT_EQ(spilled, (std::vector<Item*>{&items[0], &items[1]}));
    EXPECT_EQ(queue.size(), 2U);
}

// One owner that pushes, pops and spills, two thieves; so few places that every operation collides.
TEST(RunQueue, HandsEachItemToExactlyOne) {
    constexpr int kItems = 50'000;
    const auto items = std::make_unique<Item[]>(kItems);
    SmallQueue queue;
    std::atomic<int> taken{0};
    const auto take = [&](Item* item) {
        item->taken.fetch_add(1);
        taken.fetch_add(1);
    };
    std::vector<std::jthread> thieves;
    for (int t = 0; t < 2; ++t) {
        thieves.emplace_back([&] {
            SmallQueue own;
            while (taken.load() < kItems) {
                if (Item* item = queue.steal_half(own)) take(item);
                while (Item* item = own.pop()) take(item);
            }
        });
    }
    for (int i = 0; i < kItems; ++i) {
        while (!queue.push(&items[i])) {
            if (i % 3 == 0) {
                queue.spill_half(take);
            } else if (Item* item = queue.pop()) {
                take(item);
            }
        }
    }
    while (taken.load() < kItems) {
        if (Item* item = queue.pop()) take(item);
    }
    thieves.clear();
    for (int i = 0; i < kItems; ++i) ASSERT_EQ(items[i].taken.load(), 1) << i;
}

}  // namespace
}  // namespace sluice::runtime
