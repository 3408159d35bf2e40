#include "runtime/blocking.h"

#include <atomic>
#include <latch>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/mutex.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

class BlockingTest : public OnWorkers {};
ON_WORKERS(BlockingTest);

TEST_P(BlockingTest, ReturnsTheResult) {
    run([] {
        EXPECT_EQ(blocking([] { return std::string("result"); }), "result");
        EXPECT_EQ(*blocking([] { return std::make_unique<int>(7); }), 7);
        int seen = 0;
        blocking([&] { seen = 1; });
        EXPECT_EQ(seen, 1);
        EXPECT_EQ(&blocking([&]() -> int& { return seen; }), &seen);
    });
}

TEST_P(BlockingTest, PassesExceptionsThrough) {
    run([] { EXPECT_THROW(blocking([]() -> int { throw std::out_of_range("far"); }), std::out_of_range); });
}

TEST_P(BlockingTest, RunsOnAnotherThreadThanTheWorkers) {
    run([] {
        unsigned index = blocking([] { return worker_index(); });
        EXPECT_EQ(index, GetParam());
    });
}

// Eight calls that wait for each other: on the workers they would deadlock.
TEST_P(BlockingTest, CallsBlockSideBySideWhileTasksRun) {
    run([] {
        std::latch all(8);
        std::atomic<bool> released = false;
        WaitGroup group;
        for (int task = 0; task < 7; ++task) {
            group.add();
            go([&] {
                blocking([&] { all.arrive_and_wait(); });
                EXPECT_TRUE(released);
                group.done();
            });
        }
        for (int i = 0; i < 100; ++i) this_task::yield();  // the worker is free
        released = true;
        all.count_down();
        group.wait();
    });
}

TEST_P(BlockingTest, ManyMoreCallsThanThreadsAllReturn) {
    run([] {
        WaitGroup group;
        std::atomic<int> sum = 0;
        for (int task = 0; task < 500; ++task) {
            group.add();
            go([&, task] {
                sum += blocking([task] { return task; });
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(sum, 500 * 499 / 2);
    });
}

TEST(Blocking, OutsideATaskItJustCalls) {
    EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), std::this_thread::get_id());
}

}  // namespace
}  // namespace sluice::runtime
