#include "runtime/go.h"

#include <memory>
#include <source_location>
#include <string>

#include "runtime/sanitizer.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

class GoTest : public OnWorkers {};
ON_WORKERS(GoTest);

void add(std::atomic<int>& sum, int n) {
    sum.fetch_add(n);
}

TEST_P(GoTest, CallsWhateverCanBeCalled) {
    std::atomic<int> sum{0};
    struct Adder {
        std::atomic<int>& sum;
        void method(int n) { sum.fetch_add(n); }
        void operator()() const { sum.fetch_add(1); }
    } adder{sum};
    run([&] {
        go(add, std::ref(sum), 10);
        go(&add, std::ref(sum), 100);
        go(&Adder::method, adder, 1'000);
        go(adder);
        go([&](std::unique_ptr<int> n) { sum.fetch_add(*n); }, std::make_unique<int>(10'000));
    });
    EXPECT_EQ(sum.load(), 11'111);
}

TEST_P(GoTest, EvaluatesArgumentsInTheCaller) {
    std::atomic<int> sum{0};
    run([&] {
        for (int i = 0; i < 10; ++i) go([&](int n) { sum.fetch_add(n); }, i);
    });
    EXPECT_EQ(sum.load(), 45);
}

TEST_P(GoTest, KeepsACopyOfItsArgumentsAndDestroysIt) {
    const auto token = std::make_shared<std::string>("alive");
    run([token] {
        for (int i = 0; i < 10; ++i) {
            go(
                [](const std::shared_ptr<std::string>& mine) {
                    this_task::yield();
                    EXPECT_EQ(*mine, "alive");
                },
                token);
        }
    });
    EXPECT_EQ(token.use_count(), 1);
}

TEST_P(GoTest, DestroysTheClosureOfATaskThatThrew) {
    static std::atomic<int> seen;
    seen.store(0);
    const auto token = std::make_shared<int>(1);
    TimedScheduler scheduler(
        {.workers = GetParam(), .on_exception = [](std::exception_ptr, const Task&) { ++seen; }});
    scheduler.run([&] { go([token] { throw std::string("gone"); }); });
    EXPECT_EQ(token.use_count(), 1);
    EXPECT_EQ(seen.load(), 1);
}

TEST_P(GoTest, GivesTheStackBackWhenAnArgumentCannotBeCopied) {
    struct Throws {
        Throws() = default;
        Throws(const Throws&) { throw std::string("copy"); }
    };
    run([] {
        const Throws throws;
        EXPECT_THROW(go([](const Throws&) {}, throws), std::string);
    });
}

TEST_P(GoTest, RemembersWhereItWasCalled) {
    run([] {
        const std::source_location here = std::source_location::current();
        go([here] {
            const Task* const self = current_task();
            EXPECT_STREQ(self->file.load(), here.file_name());
            EXPECT_EQ(self->line.load(), here.line() + 1);
        });
    });
}

// A closure of a task may share the caller's variables.
TEST_P(GoTest, CapturesByReference) {
    run([] {
        std::string message = "hello";
        std::atomic<bool> done{false};
        go([&] {
            message += " from a task";
            done.store(true);
        });
        while (!done.load()) this_task::yield();
        EXPECT_EQ(message, "hello from a task");
    });
}

[[gnu::noinline]] int deep(int n) {
    volatile char frame[4096];
    frame[0] = static_cast<char>(n);
    return n == 0 ? 0 : deep(n - 1) + (frame[0] == static_cast<char>(n));
}

TEST_P(GoTest, GrowsAStackUpToItsClass) {
    if (kAsan) GTEST_SKIP() << "frames are several times larger under the address sanitizer";
    run([] {
        go([] { EXPECT_EQ(deep(50), 50); });
        go_with({.stack = StackClass::small}, [] { EXPECT_EQ(deep(10), 10); });
        go_with({.stack = StackClass::large}, [] { EXPECT_EQ(deep(1'900), 1'900); });
    });
}

TEST_P(GoTest, RunsMoreTasksThanTheRingHolds) {
    std::atomic<int> ran{0};
    run([&] {
        for (int i = 0; i < 20'000; ++i) go([&] { ran.fetch_add(1); });
    });
    EXPECT_EQ(ran.load(), 20'000);
}

}  // namespace
}  // namespace sluice::runtime
