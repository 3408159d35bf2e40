#include "runtime/semaphore.h"

#include <atomic>
#include <chrono>
#include <vector>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class SemaphoreTest : public OnWorkers {};
ON_WORKERS(SemaphoreTest);
class SemaphoreInVirtualTime : public InVirtualTime {};

TEST_P(SemaphoreTest, AdmitsAsManyAsItHasPermits) {
    run([] {
        Semaphore semaphore(3);
        WaitGroup group;
        std::atomic<int> inside = 0, most = 0;
        for (int task = 0; task < 30; ++task) {
            group.add();
            go([&] {
                for (int i = 0; i < 20; ++i) {
                    semaphore.acquire();
                    int here = ++inside;
                    for (int seen = most; here > seen && !most.compare_exchange_weak(seen, here);) {
                    }
                    this_task::yield();
                    --inside;
                    semaphore.release();
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_LE(most, 3);
        EXPECT_TRUE(semaphore.try_acquire() && semaphore.try_acquire() && semaphore.try_acquire());
        EXPECT_FALSE(semaphore.try_acquire());
    });
}

TEST_F(SemaphoreInVirtualTime, ServesWaitersInTheOrderTheyCame) {
    std::vector<int> served;
    run([&] {
        Semaphore semaphore(0);
        for (int task = 0; task < 5; ++task) {
            go([&, task] {
                this_task::sleep_for(task * 1ms);
                semaphore.acquire();
                served.push_back(task);
            });
        }
        for (int permits : {1, 1, 1, 2}) {
            this_task::sleep_for(10ms);
            semaphore.release(permits);
            EXPECT_FALSE(semaphore.try_acquire()) << "a newcomer took a permit that was granted to a waiter";
        }
    });
    ASSERT_EQ(served.size(), 5U);
    EXPECT_EQ(std::vector(served.begin(), served.begin() + 3), (std::vector{0, 1, 2}));
}

TEST_F(SemaphoreInVirtualTime, WaiterThatGaveUpLeavesItsPlaceToTheNext) {
    run([] {
        Semaphore semaphore(0);
        bool second = false;
        Time start = now();
        go([&] {
            EXPECT_FALSE(semaphore.try_acquire_until(start + 5ms));
            EXPECT_EQ(now() - start, 5ms);
        });
        go([&] {
            this_task::sleep_for(1ms);
            second = semaphore.try_acquire_until(start + 20ms);
        });
        this_task::sleep_for(10ms);
        semaphore.release();
        this_task::sleep_for(1ms);
        EXPECT_TRUE(second);
        EXPECT_FALSE(semaphore.try_acquire());
    });
}

TEST_F(SemaphoreInVirtualTime, DeadlineInThePastOnlyTries) {
    run([] {
        Semaphore semaphore(1);
        EXPECT_TRUE(semaphore.try_acquire_until(now() - 1s));
        EXPECT_FALSE(semaphore.try_acquire_until(now() - 1s));
    });
}

// Grants and deadlines race: whichever wins, no permit is lost and none is made.
TEST_P(SemaphoreTest, NoPermitIsLostWhenDeadlinesRaceWithReleases) {
    run([] {
        Semaphore semaphore(2);
        WaitGroup group;
        for (int task = 0; task < 16; ++task) {
            group.add();
            go([&, task] {
                for (int i = 0; i < 50; ++i) {
                    if (semaphore.try_acquire_until(now() + std::chrono::microseconds(7 * task))) {
                        this_task::yield();
                        semaphore.release();
                    }
                }
                group.done();
            });
        }
        group.wait();
        EXPECT_TRUE(semaphore.try_acquire());
        EXPECT_TRUE(semaphore.try_acquire());
        EXPECT_FALSE(semaphore.try_acquire());
    });
}

TEST_P(SemaphoreTest, ThatBeginsInDebtWakesWhoeverAReleaseSufficesFor) {
    run([] {
        Semaphore semaphore(-2);
        WaitGroup group;
        group.add();
        go([&] {
            semaphore.acquire();
            group.done();
        });
        this_task::yield();
        semaphore.release(2);
        EXPECT_FALSE(semaphore.try_acquire());
        semaphore.release(3);
        group.wait();
        EXPECT_TRUE(semaphore.try_acquire());
        EXPECT_TRUE(semaphore.try_acquire());
        EXPECT_FALSE(semaphore.try_acquire());
    });
}

}  // namespace
}  // namespace sluice::runtime
