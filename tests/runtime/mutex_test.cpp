#include "runtime/mutex.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

class MutexTest : public OnWorkers {};
ON_WORKERS(MutexTest);

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

TEST(MutexSize, IsTwoPointers) {
    EXPECT_LE(sizeof(Mutex), 16U);
}

}  // namespace
}  // namespace sluice::runtime
