#include "runtime/wait_group.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "runtime/once.h"
#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class WaitGroupTest : public OnWorkers {};
ON_WORKERS(WaitGroupTest);
class WaitGroupInVirtualTime : public InVirtualTime {};

TEST_P(WaitGroupTest, WaitReturnsWhenAllAreDone) {
    run([] {
        WaitGroup group;
        std::atomic<int> done = 0;
        group.add(100);
        for (int task = 0; task < 100; ++task) {
            go([&] {
                this_task::yield();
                ++done;
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(done, 100);
        group.wait();  // nothing left to wait for
    });
}

TEST_P(WaitGroupTest, WhatIsCountedIsDoneWhateverEndsItsTask) {
    run([] {
        WaitGroup group;
        const auto closed_over = std::make_shared<int>(0);
        for (int task = 0; task < 4; ++task) {
            go([counted = Counted(group), closed_over, task] {
                this_task::yield();
                if (task % 2 == 0) throw std::runtime_error("ended by an exception");
            });
        }
        group.wait();
        EXPECT_EQ(closed_over.use_count(), 1) << "what a task closed over goes first";
        {
            const Counted moved = Counted(group);
        }
        group.wait();
    });
}

TEST_P(WaitGroupTest, WakesEveryWaiter) {
    run([] {
        WaitGroup work, waiters;
        std::atomic<bool> finished = false;
        work.add();
        for (int task = 0; task < 10; ++task) {
            waiters.add();
            go([&] {
                work.wait();
                EXPECT_TRUE(finished);
                waiters.done();
            });
        }
        this_task::yield();
        finished = true;
        work.done();
        waiters.wait();
    });
}

// The last done() must not touch the group after its waiter may have returned and destroyed it.
TEST_P(WaitGroupTest, MayBeDestroyedAsSoonAsWaitReturns) {
    run([] {
        for (int round = 0; round < 2000; ++round) {
            auto group = std::make_unique<WaitGroup>();
            group->add(2);
            go([&group = *group] { group.done(); });
            go([&group = *group] { group.done(); });
            group->wait();
        }
    });
}

TEST_P(WaitGroupTest, CountsAgainAfterItReachedZero) {
    run([] {
        WaitGroup group;
        for (int round = 0; round < 100; ++round) {
            group.add(3);
            for (int task = 0; task < 3; ++task) go([&] { group.done(); });
            group.wait();
        }
    });
}

TEST_F(WaitGroupInVirtualTime, WaitUntilGivesUpAtTheDeadline) {
    run([] {
        WaitGroup group;
        group.add();
        Time start = now();
        go([&] {
            this_task::sleep_for(100ms);
            group.done();
        });
        EXPECT_FALSE(group.wait_until(start + 30ms));
        EXPECT_EQ(now() - start, 30ms);
        EXPECT_TRUE(group.wait_until(start + 200ms));
        EXPECT_EQ(now() - start, 100ms);
    });
}

TEST(WaitGroupDeath, MoreDoneThanAddedIsACheckedError) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(WaitGroup().done(), "done");
}

class OnceTest : public OnWorkers {};
ON_WORKERS(OnceTest);

TEST_P(OnceTest, RunsOnceAndOthersWaitForIt) {
    run([] {
        Once once;
        WaitGroup group;
        std::atomic<int> calls = 0;
        bool ready = false;
        for (int task = 0; task < 20; ++task) {
            group.add();
            go([&] {
                once.call([&] {
                    ++calls;
                    this_task::yield();
                    ready = true;
                });
                EXPECT_TRUE(ready);
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(OnceTest, CallThatThrowsLeavesTheNextToTry) {
    run([] {
        Once once;
        EXPECT_THROW(once.call([] { throw std::runtime_error("no"); }), std::runtime_error);
        int calls = 0;
        once.call([&] { ++calls; });
        once.call([&] { ++calls; });
        EXPECT_EQ(calls, 1);
    });
}

TEST_P(OnceTest, ACallThatWaitsForAnothersCanBeCancelled) {
    run([] {
        Once once;
        Semaphore go_on(0);
        Semaphore begun(0);
        TaskGroup first;
        first.go([&] {
            once.call([&] {
                begun.release();
                go_on.acquire();
            });
        });
        begun.acquire();
        EXPECT_FALSE(once.call_until(now() + 1ms, [] { ADD_FAILURE() << "a second call"; }));
        TaskGroup second;
        second.go([&] { EXPECT_FALSE(once.call_until(kNever, [] { ADD_FAILURE() << "a second call"; })); });
        second.cancel();
        second.wait();
        go_on.release();
        first.wait();
        EXPECT_TRUE(once.call_until(now(), [] { ADD_FAILURE() << "a second call"; }));
    });
}

TEST_P(OnceTest, ACallWithADeadlineRunsItsOwnFunction) {
    run([] {
        Once once;
        int calls = 0;
        EXPECT_THROW(once.call_until(now(), [] { throw std::runtime_error("no"); }), std::runtime_error);
        EXPECT_TRUE(once.call_until(now(), [&] { ++calls; }));
        EXPECT_TRUE(once.call_until(now(), [&] { ++calls; }));
        EXPECT_EQ(calls, 1);
    });
}

}  // namespace
}  // namespace sluice::runtime
