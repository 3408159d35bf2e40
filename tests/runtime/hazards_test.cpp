// The traps that tasks which change threads have fallen into elsewhere, one test each.

#include <atomic>
#include <cerrno>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/sanitizer.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class HazardTest : public OnWorkers {};
ON_WORKERS(HazardTest);

// Parks, with every chance to go on on another thread.
void change_threads() {
    this_task::sleep_for(50us);
    this_task::yield();
}

// boostorg/context#281: the exception being handled belongs to the task, not to the thread.
TEST_P(HazardTest, ATaskMayParkWhileItHandlesAnException) {
    run([] {
        for (int i = 0; i < 64; ++i) {
            go([i] {
                for (int round = 0; round < 20; ++round) {
                    const std::string mine = std::to_string(i) + "/" + std::to_string(round);
                    try {
                        throw std::runtime_error(mine);
                    } catch (const std::exception& e) {
                        change_threads();
                        EXPECT_EQ(e.what(), mine);
                        try {
                            throw;
                        } catch (const std::runtime_error& again) {
                            change_threads();
                            EXPECT_EQ(again.what(), mine);
                        }
                    }
                    EXPECT_EQ(std::current_exception(), nullptr);
                }
            });
        }
    });
}

TEST_P(HazardTest, ATaskMayParkWhileItUnwinds) {
    struct ParksWhenDestroyed {
        ~ParksWhenDestroyed() {
            const int before = std::uncaught_exceptions();
            change_threads();
            EXPECT_EQ(std::uncaught_exceptions(), before);
            EXPECT_EQ(before, 1);
        }
    };
    run([] {
        for (int i = 0; i < 64; ++i) {
            go([] {
                try {
                    ParksWhenDestroyed parks;
                    throw 1;
                } catch (int) {
                }
                EXPECT_EQ(std::uncaught_exceptions(), 0);
            });
        }
    });
}

TEST_P(HazardTest, AnExceptionMayBeMovedToAnotherTask) {
    run([] {
        std::exception_ptr carried;
        std::atomic<bool> done{false};
        go([&] {
            try {
                throw std::runtime_error("carried");
            } catch (...) {
                carried = std::current_exception();
            }
            done.store(true);
        });
        while (!done.load()) this_task::yield();
        EXPECT_THROW(std::rethrow_exception(carried), std::runtime_error);
    });
}

// pthread_self() is declared const, so that compilers keep what it returned: the very trap that this file is
// about.
[[gnu::noinline]] std::thread::id this_thread_now() {
    asm volatile("" ::: "memory");
    return std::this_thread::get_id();
}

// userver#242, llvm#98479, GCC PR26461: the address of a thread-local must not be carried across a park. Only
// an accessor that is not inlined is safe; the runtime's own are.
TEST_P(HazardTest, TheRuntimeFindsTheThreadItIsOn) {
    run([] {
        for (int i = 0; i < 32; ++i) {
            go([] {
                Task* const self = current_task();
                for (int round = 0; round < 50; ++round) {
                    const unsigned before = worker_index();
                    const std::thread::id thread = this_thread_now();
                    change_threads();
                    EXPECT_EQ(current_task(), self);
                    // Not the other way round: a thread may be left and come back to.
                    if (worker_index() != before) {
                        EXPECT_NE(this_thread_now(), thread);
                    }
                }
            });
        }
    });
}

// The end of every stack is marked: who walks it stops there (tarantool#6889).
TEST_P(HazardTest, AnUncaughtThrowIsFoundInTheFirstPhase) {
    TimedScheduler scheduler({.workers = GetParam(), .on_exception = [](std::exception_ptr, const Task&) {}});
    scheduler.run([] {
        for (int i = 0; i < 100; ++i) go([] { throw 5; });
    });
    EXPECT_EQ(counters(scheduler).uncaught, 100U);
}

// Both park in turns and each only goes on when the other has unparked it: one lost wakeup, and the test
// hangs.
struct PingPong {
    std::atomic<Task*> parked[2]{};

    static bool commit(void* arg, Task* task) {
        static_cast<std::atomic<Task*>*>(arg)->store(task);
        return true;
    }
    void wake(int side) {
        Task* task = nullptr;
        while ((task = parked[side].exchange(nullptr)) == nullptr) this_task::yield();
        unpark(task);
    }
    void play(int side, int rounds) {
        for (int i = 0; i < rounds; ++i) {
            if (side == 0) wake(1);
            park(WaitReason::channel_receive, this, &commit, &parked[side]);
            if (side == 1) wake(0);
        }
    }
};

TEST_P(HazardTest, NoWakeupIsLostBetweenTasks) {
    const int rounds = kTsan ? 500 : 5'000;
    run([=] {
        std::vector<std::unique_ptr<PingPong>> games;
        std::atomic<int> playing{0};
        for (int g = 0; g < 8; ++g) {
            games.push_back(std::make_unique<PingPong>());
            for (const int side : {0, 1}) {
                playing.fetch_add(1);
                go([&, game = games.back().get(), side] {
                    game->play(side, rounds);
                    playing.fetch_sub(1);
                });
            }
        }
        while (playing.load() != 0) this_task::sleep_for(1ms);
    });
}

// Wakes from a thread that is no worker, as idle workers fall asleep.
TEST_P(HazardTest, NoWakeupIsLostFromOutside) {
    const int rounds = kTsan ? 500 : 5'000;
    TimedScheduler scheduler({.workers = GetParam()});
    std::atomic<Task*> parked{nullptr};
    std::jthread waker([&] {
        for (int i = 0; i < rounds; ++i) {
            Task* task = nullptr;
            while ((task = parked.exchange(nullptr)) == nullptr) std::this_thread::yield();
            unpark(task);
        }
    });
    scheduler.run([&] {
        for (int i = 0; i < rounds; ++i) park(WaitReason::blocking, nullptr, &PingPong::commit, &parked);
    });
}

// A task that exits hands its stack on while its last frames are still under its feet: the next user must not
// get it before they are left.
TEST_P(HazardTest, AStackIsNotReusedBeforeItIsLeft) {
    run([] {
        for (int i = 0; i < 20'000; ++i) {
            go([i] {
                volatile int frame[64];
                for (int k = 0; k < 64; ++k) frame[k] = i;
                if (i % 5 == 0) this_task::yield();
                for (int k = 0; k < 64; ++k) EXPECT_EQ(frame[k], i);
            });
        }
    });
}

}  // namespace
}  // namespace sluice::runtime
