#include "runtime/loot.h"

#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

constexpr Time kNow{std::chrono::hours(1)};

TEST(Loot, IsBriefWhenItsTasksTookLessThanHalfAMicrosecondEach) {
    Loot loot;
    loot.took(kNow, 1'000);
    EXPECT_TRUE(loot.was_brief(kNow + 100 * Loot::kBrief - Duration(1), 1'100));
    loot.took(kNow, 1'100);
    EXPECT_FALSE(loot.was_brief(kNow + 100 * Loot::kBrief, 1'200));
}

TEST(Loot, IsNotBriefWhereNoneOfItRan) {
    Loot loot;
    loot.took(kNow, 7);
    EXPECT_FALSE(loot.was_brief(kNow, 7));
}

TEST(Loot, IsJudgedOnce) {
    Loot loot;
    EXPECT_FALSE(loot.was_brief(kNow, 1'000'000)) << "nothing was stolen so far";
    loot.took(kNow, 0);
    EXPECT_TRUE(loot.was_brief(kNow, 10));
    EXPECT_FALSE(loot.was_brief(kNow, 20));
    loot.took(kNow, 20);
    EXPECT_TRUE(loot.was_brief(kNow, 30));
}

}  // namespace
}  // namespace sluice::runtime
