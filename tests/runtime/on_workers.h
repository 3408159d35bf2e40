#pragma once

#include <utility>

#include <gtest/gtest.h>

#include "runtime/go.h"
#include "runtime/inspect.h"
#include "runtime/scheduler.h"
#include "tests/runtime/overtime.h"

namespace sluice::runtime {

// OnWorkers: a fixture whose tests run with 1, 2 and 8 workers, and fail when a task outlives them, or with
// a dump of the tasks when they take too long.
//
//     class MutexTest : public OnWorkers {};
//     ON_WORKERS(MutexTest);
//     TEST_P(MutexTest, ExcludesOthers) { run([] { … }); }
class OnWorkers : public testing::TestWithParam<unsigned> {
  protected:
    // run() runs `main` as the first task of a scheduler of GetParam() workers, until all tasks have ended.
    template <class F>
    void run(F main) {
        TimedScheduler scheduler({.workers = GetParam()});
        scheduler.run(std::move(main));
        EXPECT_EQ(counters(scheduler).live, 0U);
    }
};

// InVirtualTime: one worker; time stands still while a task can run, then jumps to the next timer.
class InVirtualTime : public testing::Test {
  protected:
    template <class F>
    void run(F main, std::uint64_t seed = 0) {
        TimedScheduler scheduler({.workers = 1, .virtual_time = true, .seed = seed});
        scheduler.run(std::move(main));
        EXPECT_EQ(counters(scheduler).live, 0U);
    }
};

#define ON_WORKERS(Fixture)                                                 \
    INSTANTIATE_TEST_SUITE_P(Workers, Fixture, testing::Values(1U, 2U, 8U), \
                             [](const auto& workers) { return std::to_string(workers.param); })

}  // namespace sluice::runtime
