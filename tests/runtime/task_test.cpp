#include "runtime/task.h"

#include <atomic>
#include <thread>
#include <vector>

#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

bool commit_true(void*, Task*) {
    return true;
}

// Names the parked task's wait where others find it.
struct Board {
    Outcome wait(Time deadline = kNever, Cancellable cancellable = Cancellable::yes) {
        Waiter waiter(current_task());
        task = waiter.task;
        ticket = waiter.ticket;
        const auto post = [](void* arg, Task*) {
            static_cast<Board*>(arg)->posted.store(true);
            return true;
        };
        return park_until(WaitReason::semaphore, this, waiter, deadline, post, this, cancellable);
    }
    void await_post() const {
        while (!posted.load()) this_task::yield();
    }
    void wake() {
        await_post();
        if (task->wait.claim(ticket, Outcome::woken)) unpark(task);
    }

    Task* task = nullptr;
    Ticket ticket = 0;
    std::atomic<bool> posted{false};
};

TEST(WaitWord, LetsExactlyOneEndAWait) {
    WaitWord word;
    const Ticket ticket = word.open();
    EXPECT_TRUE(word.waiting(ticket));
    EXPECT_TRUE(word.claim(ticket, Outcome::timed_out));
    EXPECT_FALSE(word.claim(ticket, Outcome::woken));
    EXPECT_EQ(word.outcome(), Outcome::timed_out);
}

TEST(WaitWord, IgnoresClaimsOnEarlierWaits) {
    WaitWord word;
    const Ticket first = word.open();
    EXPECT_TRUE(word.claim(first, Outcome::woken));
    const Ticket second = word.open();
    EXPECT_FALSE(word.claim(first, Outcome::timed_out));
    EXPECT_TRUE(word.waiting(second));
}

TEST(WaitWord, IsCancelledOnlyOnceExposed) {
    WaitWord word;
    EXPECT_FALSE(word.cancel_exposed());
    const Ticket ticket = word.open();
    EXPECT_FALSE(word.cancel_exposed());
    EXPECT_TRUE(word.expose(ticket));
    EXPECT_TRUE(word.cancel_exposed());
    EXPECT_EQ(word.outcome(), Outcome::cancelled);
    EXPECT_FALSE(word.expose(ticket));
}

class TaskTest : public OnWorkers {};
ON_WORKERS(TaskTest);

TEST_P(TaskTest, ParksUntilUnparkedByAnotherTask) {
    run([] {
        Task* const parent = current_task();
        bool ran = false;
        struct Arg {
            Task* parent;
            bool* ran;
        } arg{parent, &ran};
        park(
            WaitReason::mutex, &arg,
            [](void* a, Task*) {
                go([arg = static_cast<Arg*>(a)] {
                    *arg->ran = true;
                    unpark(arg->parent);
                });
                return true;
            },
            &arg);
        EXPECT_TRUE(ran);
    });
}

TEST_P(TaskTest, ParksUntilUnparkedByAnotherThread) {
    run([] {
        for (int i = 0; i < 200; ++i) {
            std::atomic<Task*> parked{nullptr};
            std::jthread waker([&parked] {
                while (parked.load() == nullptr) std::this_thread::yield();
                unpark(parked.load());
            });
            const auto post = [](void* place, Task* task) {
                static_cast<std::atomic<Task*>*>(place)->store(task);
                return true;
            };
            park(WaitReason::blocking, nullptr, post, &parked);
        }
    });
}

TEST_P(TaskTest, GoesOnAtOnceWhenTheCommitDeclines) {
    run([] {
        Waiter waiter(current_task());
        const auto decline = [](void*, Task*) { return false; };
        EXPECT_EQ(park_until(WaitReason::mutex, nullptr, waiter, kNever, decline, nullptr), Outcome::woken);
        park(WaitReason::mutex, nullptr, decline, nullptr);
    });
}

TEST_P(TaskTest, TimesOutAtTheDeadline) {
    run([] {
        const Time deadline = now() + 3ms;
        Waiter waiter(current_task());
        EXPECT_EQ(park_until(WaitReason::mutex, nullptr, waiter, deadline, &commit_true, nullptr),
                  Outcome::timed_out);
        EXPECT_GE(now(), deadline);
    });
}

TEST_P(TaskTest, IsWokenBeforeItsDeadline) {
    run([] {
        Board board;
        go([&] { board.wake(); });
        EXPECT_EQ(board.wait(now() + 1h), Outcome::woken);
    });
}

// Deadlines that pass just when the wakers come: whoever is first, the wait ends once, and nobody hangs.
TEST_P(TaskTest, EndsAWaitOnceWhenWakerAndDeadlineMeet) {
    run([] {
        for (int k = 0; k < 4; ++k) {
            go([] {
                for (int i = 0; i < 300; ++i) {
                    Board board;
                    std::atomic<bool> seen{false};
                    go([&] {
                        board.await_post();
                        for (int spin = 0; spin < i % 7; ++spin) this_task::yield();
                        board.wake();
                        seen.store(true);
                    });
                    const Outcome outcome = board.wait(now() + std::chrono::microseconds(i % 90));
                    EXPECT_TRUE(outcome == Outcome::woken || outcome == Outcome::timed_out);
                    while (!seen.load()) this_task::yield();
                }
            });
        }
    });
}

TEST_P(TaskTest, CancellationEndsTheWaitUnderWayAndAllLaterOnes) {
    run([] {
        Board board;
        std::atomic<Task*> child{nullptr};
        go([&] {
            child.store(current_task());
            EXPECT_EQ(board.wait(), Outcome::cancelled);
            EXPECT_TRUE(this_task::cancelled());
            Board another;
            EXPECT_EQ(another.wait(now() + 1h), Outcome::cancelled);
            child.store(nullptr);
        });
        board.await_post();
        cancel(child.load());
        while (child.load() != nullptr) this_task::yield();
    });
}

TEST_P(TaskTest, CancellationMeetsTheParkAtAnyMoment) {
    run([] {
        for (int i = 0; i < 500; ++i) {
            std::atomic<Task*> child{nullptr};
            std::atomic<bool> done{false};
            std::atomic<bool> may_end{false};
            go([&] {
                child.store(current_task());
                Board board;
                EXPECT_EQ(board.wait(), Outcome::cancelled);
                while (!may_end.load()) this_task::yield();
                done.store(true);
            });
            while (child.load() == nullptr) this_task::yield();
            cancel(child.load());
            may_end.store(true);
            while (!done.load()) this_task::yield();
        }
    });
}

TEST_P(TaskTest, AWaitThatIsNotCancellableStays) {
    run([] {
        Board board;
        std::atomic<Task*> child{nullptr};
        Outcome outcome = Outcome::waiting;
        go([&] {
            child.store(current_task());
            outcome = board.wait(kNever, Cancellable::no);
            child.store(nullptr);
        });
        board.await_post();
        cancel(child.load());
        board.wake();
        while (child.load() != nullptr) this_task::yield();
        EXPECT_EQ(outcome, Outcome::woken);
    });
}

TEST_P(TaskTest, SleepsNoLessThanAsked) {
    run([] {
        for (int i = 0; i < 100; ++i) {
            go([i] {
                const auto duration = std::chrono::microseconds(i * 37);
                const Time start = now();
                this_task::sleep_for(duration);
                EXPECT_GE(now() - start, duration);
            });
        }
    });
}

TEST_P(TaskTest, YieldLetsTheOthersRun) {
    run([] {
        std::atomic<bool> ran{false};
        go([&] { ran.store(true); });
        while (!ran.load()) this_task::yield();
    });
}

}  // namespace
}  // namespace sluice::runtime
