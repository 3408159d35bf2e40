#include "runtime/shared_mutex.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class SharedMutexTest : public OnWorkers {};
ON_WORKERS(SharedMutexTest);
class SharedMutexInVirtualTime : public InVirtualTime {};

TEST_P(SharedMutexTest, WritersExcludeAllAndReadersExcludeWriters) {
    run([] {
        SharedMutex mutex;
        WaitGroup group;
        int value = 0;  // plain: TSan would see an unprotected change
        std::atomic<int> readers{0};
        for (int task = 0; task < 20; ++task) {
            group.add();
            go([&, task] {
                for (int i = 0; i < 50; ++i) {
                    if (task % 4 == 0) {
                        std::lock_guard lock(mutex);
                        EXPECT_EQ(readers.load(), 0);
                        const int before = value;
                        this_task::yield();
                        value = before + 1;
                    } else {
                        std::shared_lock lock(mutex);
                        readers.fetch_add(1);
                        const int before = value;
                        this_task::yield();
                        EXPECT_EQ(value, before);
                        readers.fetch_sub(1);
                    }
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(value, 5 * 50);
    });
}

TEST_P(SharedMutexTest, ReadersHoldItSideBySide) {
    run([] {
        SharedMutex mutex;
        WaitGroup group;
        group.add();
        const std::shared_lock lock(mutex);
        go([&] {
            const std::shared_lock other(mutex);
            group.done();
        });
        group.wait();
    });
}

TEST_P(SharedMutexTest, TryLockTellsWhoHoldsIt) {
    run([] {
        SharedMutex mutex;
        EXPECT_TRUE(mutex.try_lock_shared());
        EXPECT_TRUE(mutex.try_lock_shared());
        EXPECT_FALSE(mutex.try_lock());
        mutex.unlock_shared();
        mutex.unlock_shared();
        EXPECT_TRUE(mutex.try_lock());
        EXPECT_FALSE(mutex.try_lock_shared());
        mutex.unlock();
    });
}

TEST_F(SharedMutexInVirtualTime, ServesInTheOrderOfArrivalReadersTogether) {
    std::vector<std::pair<int, Duration>> served;
    run([&] {
        SharedMutex mutex;
        const Time start = now();
        mutex.lock();
        for (int task = 0; task < 6; ++task) {
            go([&, task] {
                this_task::sleep_for(task * 1ms);
                const bool writes = task == 2 || task == 5;
                writes ? mutex.lock() : mutex.lock_shared();
                served.emplace_back(task, now() - start);
                this_task::sleep_for(10ms);
                writes ? mutex.unlock() : mutex.unlock_shared();
            });
        }
        this_task::sleep_for(10ms);
        mutex.unlock();
        this_task::sleep_for(1s);
    });
    // r r W r r W: two readers at 10 ms, the writer at 20, two readers at 30, the writer at 40.
    ASSERT_EQ(served.size(), 6U);
    const std::vector<Duration> when{10ms, 10ms, 20ms, 30ms, 30ms, 40ms};
    for (std::size_t i = 0; i < when.size(); ++i) EXPECT_EQ(served[i].second, when[i]) << "the " << i << "th";
    EXPECT_EQ(served[2].first, 2);
    EXPECT_EQ(served[5].first, 5);
}

TEST_F(SharedMutexInVirtualTime, GivesUpAtTheDeadline) {
    run([] {
        const Time start = now();
        SharedMutex mutex;
        EXPECT_TRUE(mutex.try_lock_until(start - 1s)) << "a free lock is taken in any case";
        EXPECT_FALSE(mutex.try_lock_until(start - 1s));
        EXPECT_FALSE(mutex.try_lock_shared_for(0ms));
        EXPECT_FALSE(std::unique_lock(mutex, 10ms).owns_lock());
        EXPECT_EQ(now() - start, 10ms);
        EXPECT_FALSE(std::shared_lock(mutex, start + 20ms).owns_lock());
        EXPECT_EQ(now() - start, 20ms);
        {
            const this_task::DeadlineScope within(start + 30ms);
            EXPECT_FALSE(mutex.try_lock_shared_until(kNever));
        }
        EXPECT_EQ(now() - start, 30ms);
        go([&] {
            this_task::sleep_for(10ms);
            mutex.unlock();
        });
        {
            const std::shared_lock lock(mutex, 1h);
            EXPECT_TRUE(lock.owns_lock());
            EXPECT_EQ(now() - start, 40ms);
        }
        EXPECT_TRUE(std::unique_lock(mutex, 1h).owns_lock());
    });
}

// r holds, W waits, r waits behind it: when W gives up, the second r reads beside the first.
TEST_F(SharedMutexInVirtualTime, AWriterThatGivesUpLetsTheReadersBehindItIn) {
    run([] {
        const Time start = now();
        SharedMutex mutex;
        mutex.lock_shared();
        go([&] { EXPECT_FALSE(mutex.try_lock_for(10ms)); });
        go([&] {
            this_task::sleep_for(5ms);
            mutex.lock_shared();
            EXPECT_EQ(now() - start, 10ms);
            mutex.unlock_shared();
        });
        this_task::sleep_for(1s);
        mutex.unlock_shared();
    });
}

// Deadlines and cancellations that come just when the lock is let go: it is not lost, and given to nobody who
// has gone.
TEST_P(SharedMutexTest, GivingUpMeetsTheUnlockAtAnyMoment) {
    run([] {
        for (int round = 0; round < 150; ++round) {
            SharedMutex mutex;
            int writes = 0;  // plain: TSan would see an unprotected change
            std::atomic<int> expected = 0;
            const auto write = [&] {
                ++writes;
                this_task::yield();
                ++expected;
                mutex.unlock();
            };
            const auto read = [&] {
                const int before = writes;
                this_task::yield();
                EXPECT_EQ(writes, before);
                mutex.unlock_shared();
            };
            TaskGroup hasty;
            TaskGroup patient;
            for (int task = 0; task < 3; ++task) {
                hasty.go([&, task] {
                    for (int i = 0; i < 10; ++i) {
                        const Time deadline = i % 2 == 0 ? kNever : now() + i * 20us;
                        if ((task + i) % 3 == 0) {
                            if (mutex.try_lock_until(deadline)) write();
                        } else if (mutex.try_lock_shared_until(deadline)) {
                            read();
                        }
                    }
                });
                patient.go([&, task] {
                    for (int i = 0; i < 10; ++i) {
                        if ((task + i) % 3 == 0) {
                            mutex.lock();
                            write();
                        } else {
                            mutex.lock_shared();
                            read();
                        }
                    }
                });
            }
            for (int i = 0; i < round % 8; ++i) this_task::yield();
            hasty.cancel();
            hasty.wait();
            patient.wait();
            EXPECT_EQ(writes, expected);
            EXPECT_TRUE(mutex.try_lock());
            mutex.unlock();
        }
    });
}

TEST(SharedMutexDeath, UnlockOfWhatIsNotLockedIsACheckedError) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(SharedMutex().unlock(), "no writer holds");
    EXPECT_DEATH(SharedMutex().unlock_shared(), "no reader holds");
}

}  // namespace
}  // namespace sluice::runtime
