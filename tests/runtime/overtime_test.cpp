#include "tests/runtime/overtime.h"

#include <gtest/gtest.h>

#include "runtime/channel.h"

namespace sluice::runtime {
namespace {

TEST(OvertimeDeath, ATestThatHangsEndsWithADumpOfItsTasks) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Scheduler scheduler({.workers = 1});
            const Overtime overtime(scheduler, std::chrono::milliseconds(50));
            scheduler.run([] { Channel<int>().receive(); });
        },
        "has not ended in time; its tasks:\n1 task parked in channel receive, spawned at ");
}

}  // namespace
}  // namespace sluice::runtime
