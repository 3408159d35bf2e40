#include "runtime/signals.h"

#include <chrono>
#include <csignal>

#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/overtime.h"

namespace sluice::runtime {
namespace {

TEST(SignalSet, TellsOneSignalAfterTheOther) {
    SignalSet signals{SIGUSR1, SIGUSR2};
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        for (int i = 0; i < 10; ++i) {
            const int sent = i % 2 == 0 ? SIGUSR1 : SIGUSR2;
            ::kill(::getpid(), sent);
            EXPECT_EQ(signals.wait(), sent);
        }
    });
}

TEST(SignalSet, CancelEndsTheWaitAndAllLaterOnes) {
    SignalSet signals{SIGUSR1};
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        WaitGroup waiting;
        waiting.add();
        go([&] {
            EXPECT_EQ(signals.wait(), 0);
            waiting.done();
        });
        signals.cancel();
        waiting.wait();
        EXPECT_EQ(signals.wait(), 0);
    });
}

TEST(SignalSet, AWaitEndsWhenItsTaskIsCancelledOrOutOfTime) {
    SignalSet signals{SIGUSR1};
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        TaskGroup group;
        group.go([&] { EXPECT_EQ(signals.wait(), 0); });
        group.cancel();
        group.wait();
        {
            const this_task::DeadlineScope within(now() + std::chrono::milliseconds(2));
            EXPECT_EQ(signals.wait(), 0);
        }
        ::kill(::getpid(), SIGUSR1);
        EXPECT_EQ(signals.wait(), SIGUSR1);
    });
}

}  // namespace
}  // namespace sluice::runtime
