#include "tests/runtime/overtime.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/channel.h"

namespace sluice::runtime {
namespace {

bool is_parked(Scheduler& scheduler) {
    return std::ranges::any_of(tasks(scheduler),
                               [](const TaskInfo& task) { return task.state == TaskState::parked; });
}

TEST(OvertimeDeath, ATestThatHangsEndsWithADumpOfItsTasks) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            Scheduler scheduler({.workers = 1});
            std::thread hung([&] { scheduler.run([] { Channel<int>().receive(); }); });
            while (!is_parked(scheduler)) std::this_thread::yield();
            const Overtime overtime(scheduler, std::chrono::milliseconds(0));
            hung.join();
        },
        "has not ended in time; its tasks:\n1 task parked in channel receive, spawned at [^\n]*\n"
        "    sluice::runtime::");
}

}  // namespace
}  // namespace sluice::runtime
