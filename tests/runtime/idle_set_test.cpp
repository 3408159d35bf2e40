#include "runtime/idle_set.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

TEST(IdleSet, ClaimsOnlyWhoIsIdleAndCountsThemAsSearching) {
    IdleSet idle;
    EXPECT_FALSE(idle.claim());
    idle.add(3);
    idle.add(200);
    EXPECT_EQ(idle.count(), 2U);
    EXPECT_EQ(idle.claim(), 3U);
    EXPECT_EQ(idle.claim(), 200U);
    EXPECT_FALSE(idle.claim());
    EXPECT_EQ(idle.searching(), 2U);
}

TEST(IdleSet, TellsAWorkerThatWokeByItselfWhetherItWasClaimed) {
    IdleSet idle;
    idle.add(1);
    EXPECT_TRUE(idle.remove(1));
    idle.add(1);
    EXPECT_TRUE(idle.claim_this(1));
    EXPECT_FALSE(idle.remove(1));
    EXPECT_FALSE(idle.claim_this(1));
}

TEST(IdleSet, LimitsSearchersToHalfOfTheBusy) {
    IdleSet idle;
    EXPECT_TRUE(idle.try_search(4));
    EXPECT_TRUE(idle.try_search(4));
    EXPECT_FALSE(idle.try_search(4));
    EXPECT_FALSE(idle.end_search());
    EXPECT_TRUE(idle.end_search());
}

TEST(IdleSet, ClaimsEachIdleWorkerOnce) {
    constexpr unsigned kRounds = 2'000;
    IdleSet idle;
    std::atomic<unsigned> claimed{0};
    std::atomic<unsigned> left{0};
    std::atomic<bool> done{false};
    std::vector<std::jthread> claimers;
    for (int t = 0; t < 2; ++t) {
        claimers.emplace_back([&] {
            while (!done.load()) {
                if (idle.claim()) {
                    claimed.fetch_add(1);
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    for (unsigned i = 0; i < kRounds; ++i) {
        idle.add(i % IdleSet::kMax);
        if (i % 2 == 0 && idle.remove(i % IdleSet::kMax)) left.fetch_add(1);
        while (i % 2 == 1 && idle.any()) std::this_thread::yield();
    }
    while (idle.any()) std::this_thread::yield();
    done.store(true);
    claimers.clear();
    EXPECT_EQ(claimed.load() + left.load(), kRounds);
    EXPECT_EQ(idle.searching(), claimed.load());
}

}  // namespace
}  // namespace sluice::runtime
