#include "runtime/condition.h"

#include <chrono>
#include <deque>
#include <mutex>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class ConditionTest : public OnWorkers {};
ON_WORKERS(ConditionTest);
class ConditionInVirtualTime : public InVirtualTime {};

TEST_P(ConditionTest, ConsumersSeeEveryItemOnce) {
    run([] {
        Mutex mutex;
        Condition not_empty;
        std::deque<int> items;
        bool closed = false;
        int sum = 0;
        WaitGroup consumers;
        for (int task = 0; task < 4; ++task) {
            consumers.add();
            go([&] {
                std::unique_lock lock(mutex);
                for (;;) {
                    not_empty.wait(lock, [&] { return closed || !items.empty(); });
                    if (items.empty()) break;
                    sum += items.front();
                    items.pop_front();
                }
                consumers.done();
            });
        }
        for (int i = 1; i <= 1000; ++i) {
            std::lock_guard lock(mutex);
            items.push_back(i);
            not_empty.notify_one();
        }
        {
            std::lock_guard lock(mutex);
            closed = true;
            not_empty.notify_all();
        }
        consumers.wait();
        EXPECT_EQ(sum, 1000 * 1001 / 2);
    });
}

TEST_F(ConditionInVirtualTime, NotifyOneWakesTheTaskThatWaitsLongest) {
    std::vector<int> woken;
    run([&] {
        Mutex mutex;
        Condition condition;
        for (int task = 0; task < 3; ++task) {
            go([&, task] {
                this_task::sleep_for(task * 1ms);
                std::unique_lock lock(mutex);
                condition.wait(lock);
                woken.push_back(task);
            });
        }
        for (int i = 0; i < 3; ++i) {
            this_task::sleep_for(10ms);
            condition.notify_one();
        }
        this_task::sleep_for(10ms);
    });
    EXPECT_EQ(woken, (std::vector{0, 1, 2}));
}

TEST_F(ConditionInVirtualTime, WaitUntilGivesUpAtTheDeadlineAndHoldsTheLockAgain) {
    run([] {
        Mutex mutex;
        Condition condition;
        std::unique_lock lock(mutex);
        Time start = now();
        EXPECT_FALSE(condition.wait_until(lock, start + 50ms));
        EXPECT_EQ(now() - start, 50ms);
        EXPECT_TRUE(lock.owns_lock());
        EXPECT_FALSE(mutex.try_lock());
        condition.notify_one();  // nobody waits any more: the one that gave up has left the queue
        go([&] {
            std::lock_guard other(mutex);
            condition.notify_one();
        });
        EXPECT_TRUE(condition.wait_until(lock, now() + 50ms));
        EXPECT_EQ(now() - start, 50ms);
    });
}

}  // namespace
}  // namespace sluice::runtime
