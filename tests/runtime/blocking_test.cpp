#include "runtime/blocking.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/mutex.h"
#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

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
        EXPECT_EQ(index, kNoWorker);
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

TEST_P(BlockingTest, WithADeadlineReturnsTheResultThatCame) {
    run([] {
        EXPECT_EQ(*blocking_until(now() + 1h, [text = std::string("result")] { return text; }), "result");
        EXPECT_EQ(
            **blocking_until(kNever, [own = std::make_unique<int>(7)]() mutable { return std::move(own); }),
            7);
        EXPECT_TRUE(blocking_until(kNever, [] {}));
        EXPECT_THROW(blocking_until(kNever, []() -> int { throw std::out_of_range("far"); }),
                     std::out_of_range);
        EXPECT_EQ(*blocking_until(kNever, [] { return worker_index(); }), kNoWorker);
    });
}

// What an abandoned call returned, and where it ended.
struct Trace {
    std::atomic<bool> begun = false;
    std::latch released{1};
    std::atomic<int> results = 0;
    std::atomic<unsigned> destroyed_by = 0;
};

struct Result {
    explicit Result(std::shared_ptr<Trace> t) : trace(std::move(t)) { ++trace->results; }
    Result(Result&& other) = default;
    ~Result() {
        if (trace == nullptr) return;
        trace->destroyed_by = worker_index();
        --trace->results;
    }
    std::shared_ptr<Trace> trace;
};

TEST_P(BlockingTest, GoesOnByItselfAfterCancellation) {
    const auto trace = std::make_shared<Trace>();
    run([&] {
        TaskGroup group;
        group.go([&] {
            const auto result = blocking_until(kNever, [trace] {
                trace->begun = true;
                trace->released.wait();
                return Result(trace);
            });
            EXPECT_FALSE(result.has_value());
        });
        while (!trace->begun) this_task::yield();
        group.cancel();
        group.wait();
        EXPECT_EQ(blocking([] { return 1; }), 1) << "there are other threads";
        trace->released.count_down();
    });
    EXPECT_EQ(trace.use_count(), 1) << "the scheduler waits for it";
    EXPECT_EQ(trace->results, 0);
    EXPECT_EQ(trace->destroyed_by, kNoWorker) << "not by a worker";
}

TEST_P(BlockingTest, IsGivenUpAtTheDeadlineAndAtTheTasks) {
    const auto trace = std::make_shared<Trace>();
    run([&] {
        const auto wait_until = [&trace](Time deadline) {
            return blocking_until(deadline, [trace] {
                trace->released.wait();
                throw std::runtime_error("for nobody");
            });
        };
        EXPECT_FALSE(wait_until(now() + 2ms));
        const this_task::DeadlineScope within(now() + 2ms);
        EXPECT_FALSE(wait_until(kNever));
        EXPECT_FALSE(blocking_until(kNever, [] { ADD_FAILURE() << "out of time before it began"; }));
        trace->released.count_down();
    });
    EXPECT_EQ(trace.use_count(), 1);
}

TEST_P(BlockingTest, ACallThatWasGivenUpBeforeItBeganNeverDoes) {
    const auto trace = std::make_shared<Trace>();
    run([&] {
        std::latch all_begun(BlockingPool::kThreadsMax);
        TaskGroup group;
        for (unsigned i = 0; i < BlockingPool::kThreadsMax; ++i) {
            group.go([&] {
                blocking([&] {
                    all_begun.count_down();
                    trace->released.wait();
                });
            });
        }
        while (!all_begun.try_wait()) this_task::yield();
        EXPECT_FALSE(blocking_until(now() + 2ms, [trace] { ADD_FAILURE() << "it had not begun"; }));
        trace->released.count_down();
        group.wait();
    });
    EXPECT_EQ(trace.use_count(), 1) << "it was destroyed";
}

// Calls that end just when their tasks give up: each result comes, or is dropped, once.
TEST_P(BlockingTest, GivingUpMeetsTheEndOfTheCallAtAnyMoment) {
    const auto trace = std::make_shared<Trace>();
    run([&] {
        for (int round = 0; round < 100; ++round) {
            TaskGroup group;
            for (int task = 0; task < 4; ++task) {
                group.go([&, task] {
                    for (int i = 0; i < 10; ++i) {
                        const Time deadline = task % 2 == 0 ? kNever : now() + i * 10us;
                        const auto result = blocking_until(deadline, [trace] { return Result(trace); });
                        EXPECT_TRUE(!result || result->trace == trace);
                    }
                });
            }
            for (int i = 0; i < round % 8; ++i) this_task::yield();
            group.cancel();
            group.wait();
        }
    });
    EXPECT_EQ(trace->results, 0);
    EXPECT_EQ(trace.use_count(), 1);
}

TEST(Blocking, OutsideATaskItJustCalls) {
    EXPECT_EQ(blocking([] { return std::this_thread::get_id(); }), std::this_thread::get_id());
    EXPECT_EQ(blocking_until(kNever, [] { return std::this_thread::get_id(); }), std::this_thread::get_id());
}

}  // namespace
}  // namespace sluice::runtime
