#include "runtime/mutex.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>

#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class MutexTest : public OnWorkers {};
ON_WORKERS(MutexTest);
class MutexInVirtualTime : public InVirtualTime {};

TEST_P(MutexTest, ExcludesOthers) {
    run([] {
        Mutex mutex;
        WaitGroup group;
        int counter = 0;  // plain: TSan would see an unprotected change
        for (int task = 0; task < 100; ++task) {
            group.add();
            go([&] {
                for (int i = 0; i < 200; ++i) {
                    std::lock_guard lock(mutex);
                    ++counter;
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(counter, 100 * 200);
    });
}

TEST_P(MutexTest, ExcludesOthersAcrossParksOfTheHolder) {
    run([] {
        Mutex mutex;
        WaitGroup group;
        int inside = 0;
        int most = 0;
        for (int task = 0; task < 20; ++task) {
            group.add();
            go([&] {
                for (int i = 0; i < 20; ++i) {
                    std::lock_guard lock(mutex);
                    most = std::max(most, ++inside);
                    this_task::yield();
                    --inside;
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(most, 1);
    });
}

TEST_P(MutexTest, TryLockFailsWhileLocked) {
    run([] {
        Mutex mutex;
        EXPECT_TRUE(mutex.try_lock());
        EXPECT_FALSE(mutex.try_lock());
        mutex.unlock();
        EXPECT_TRUE(mutex.try_lock());
        mutex.unlock();
    });
}

TEST_P(MutexTest, ScopedLockOfTwoMutexesInBothOrdersDoesNotDeadlock) {
    run([] {
        Mutex a, b;
        WaitGroup group;
        int counter = 0;
        for (int task = 0; task < 8; ++task) {
            group.add();
            go([&, task] {
                for (int i = 0; i < 50; ++i) {
                    if (task % 2 == 0) {
                        std::scoped_lock lock(a, b);
                        ++counter;
                        this_task::yield();
                    } else {
                        std::scoped_lock lock(b, a);
                        ++counter;
                    }
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(counter, 8 * 50);
    });
}

// A task that takes the lock again as soon as it has let go would, with barging alone, never let the other
// in.
TEST_P(MutexTest, GreedyTaskDoesNotStarveAnother) {
    run([] {
        Mutex mutex;
        WaitGroup group;
        std::atomic<bool> stop = false;
        int greedy_rounds = 0;
        group.add();
        go([&] {
            while (!stop) {
                std::lock_guard lock(mutex);
                ++greedy_rounds;
                this_task::yield();
            }
            group.done();
        });
        for (int i = 0; i < 100; ++i) std::lock_guard lock(mutex);
        stop = true;
        group.wait();
        // With one worker every loss is a barge, so the bound is exact.
        if (GetParam() == 1) {
            EXPECT_LE(greedy_rounds, 100 * (static_cast<int>(Mutex::kBargesMax) + 2) + 1);
        }
    });
}

TEST_P(MutexTest, MayBeDestroyedByTheTaskThatUnlockedItLast) {
    run([] {
        for (int round = 0; round < 500; ++round) {
            struct Shared {
                Mutex mutex;
                int references = 2;
            };
            auto* shared = new Shared;
            auto drop = [shared] {
                bool last = false;
                {
                    std::lock_guard lock(shared->mutex);
                    last = --shared->references == 0;
                }
                if (last) delete shared;
            };
            go(drop);
            drop();
        }
    });
}

TEST_F(MutexInVirtualTime, GivesUpAtTheDeadline) {
    run([] {
        const Time start = now();
        Mutex mutex;
        EXPECT_TRUE(mutex.try_lock_until(start - 1s)) << "a free lock is taken in any case";
        EXPECT_FALSE(mutex.try_lock_until(start - 1s));
        EXPECT_FALSE(mutex.try_lock_for(0ms));
        EXPECT_EQ(now() - start, 0ms);
        EXPECT_FALSE(std::unique_lock(mutex, 10ms).owns_lock());
        EXPECT_EQ(now() - start, 10ms);
        {
            const this_task::DeadlineScope within(start + 15ms);
            EXPECT_FALSE(mutex.try_lock_until(kNever));
        }
        EXPECT_EQ(now() - start, 15ms);
        go([&] {
            this_task::sleep_for(5ms);
            mutex.unlock();
        });
        const std::unique_lock lock(mutex, start + 1h);
        EXPECT_TRUE(lock.owns_lock());
        EXPECT_EQ(now() - start, 20ms);
    });
}

TEST_P(MutexTest, OneThatIsCancelledLeavesTheQueueToTheOthers) {
    run([] {
        Mutex mutex;
        mutex.lock();
        TaskGroup cancelled;
        cancelled.go([&] { EXPECT_FALSE(mutex.try_lock_until(kNever)); });
        TaskGroup patient;
        patient.go([&] { std::lock_guard lock(mutex); });
        cancelled.cancel();
        cancelled.wait();
        mutex.unlock();
        patient.wait();
        EXPECT_TRUE(mutex.try_lock());
        mutex.unlock();
    });
}

// Deadlines and cancellations that come just when the lock is let go: it is not lost, and nobody has it
// twice.
TEST_P(MutexTest, GivingUpMeetsTheUnlockAtAnyMoment) {
    run([] {
        for (int round = 0; round < 150; ++round) {
            Mutex mutex;
            int visits = 0;  // plain: TSan would see an unprotected change
            std::atomic<int> expected = 0;
            const auto visit = [&] {
                ++visits;
                this_task::yield();
                ++expected;
                mutex.unlock();
            };
            TaskGroup hasty;
            TaskGroup patient;
            for (int task = 0; task < 3; ++task) {
                hasty.go([&] {
                    for (int i = 0; i < 10; ++i) {
                        const Time deadline = i % 2 == 0 ? kNever : now() + i * 20us;
                        if (mutex.try_lock_until(deadline)) visit();
                    }
                });
                patient.go([&] {
                    for (int i = 0; i < 10; ++i) {
                        mutex.lock();
                        visit();
                    }
                });
            }
            for (int i = 0; i < round % 8; ++i) this_task::yield();
            hasty.cancel();
            hasty.wait();
            patient.wait();
            EXPECT_EQ(visits, expected);
            EXPECT_TRUE(mutex.try_lock());
            mutex.unlock();
        }
    });
}

TEST(MutexSize, IsTwoPointers) {
    EXPECT_LE(sizeof(Mutex), 16U);
}

}  // namespace
}  // namespace sluice::runtime
