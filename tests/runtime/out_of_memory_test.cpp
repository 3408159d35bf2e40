// Where an allocation fails, nothing is lost, and nobody else is hit.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <deque>
#include <fstream>
#include <new>
#include <semaphore>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/resolve.h"
#include "runtime/sanitizer.h"
#include "runtime/scheduler.h"
#include "runtime/scheduler_state.h"
#include "runtime/semaphore.h"
#include "runtime/signals.h"
#include "runtime/stack.h"
#include "runtime/task_group.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/trace.h"
#include "runtime/wait_group.h"
#include "tests/failing_new.h"
#include "tests/runtime/overtime.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

std::size_t mapped_bytes() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * 4096;
}

TEST(OutOfMemory, NoAddressesOfStacksAreLost) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    bool failed = true;
    for (int n = 1; failed; ++n) {
        StackPool pool(std::size_t{16} << 10);
        const std::size_t before = mapped_bytes();
        Task* task = nullptr;
        failed = false;
        test::allocations_left = n;
        try {
            pool.take(1, std::span(&task, 1));
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        test::allocations_left = 0;
        EXPECT_EQ(mapped_bytes() - before > std::size_t{32} << 20, !failed) << "at allocation " << n;
    }
}

// A call is handed to a thread when its task has left its stack already: who runs next there has no part in
// it.
TEST(OutOfMemory, ACallThatFindsNoThreadFailsByItself) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    for (int n = 1; n <= 4; ++n) {
        Scheduler scheduler({.workers = 1});
        scheduler.run([&] {
            bool over = false;
            WaitGroup bystander;
            bystander.add();
            go([&] {
                EXPECT_NO_THROW(while (!over) this_task::yield());
                bystander.done();
            });
            this_task::yield();
            test::allocations_left = n;
            try {
                EXPECT_EQ(blocking([] { return 1; }), 1);
            } catch (const std::bad_alloc&) {
            } catch (const std::system_error&) {
            }
            test::allocations_left = 0;
            over = true;
            bystander.wait();
            EXPECT_EQ(blocking([] { return 2; }), 2) << "the next finds one";
        });
    }
}

// What waits for a thread that was not to be had is no reason to start none for those who come later.
TEST(OutOfMemory, AThreadThatWasNotToBeHadIsStartedForTheNextCall) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    Scheduler scheduler({.workers = 1});
    scheduler.run([] {
        Semaphore begun(0), done(0);
        std::binary_semaphore end(0);
        go([&] {
            blocking([&] {
                begun.release();
                end.acquire();
            });
        });
        begun.acquire();
        for (const int fails : {1, 0}) {
            go([&, fails] {
                test::allocations_left = fails;
                blocking([] {});
                done.release();
            });
            this_task::yield();
            test::allocations_left = 0;
        }
        EXPECT_TRUE(done.try_acquire_until(now() + 20s)) << "beside the call under way";
        EXPECT_TRUE(done.try_acquire_until(now() + 20s));
        end.release();
    });
}

TEST(OutOfMemory, ARunThatDoesNotGetItsThreadsThrowsAndHasRunNothing) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    bool failed = true;
    for (int n = 1; failed; ++n) {
        Scheduler scheduler({.workers = 3});
        bool ran = false;
        failed = false;
        test::allocations_left = n;
        try {
            scheduler.run([&] { ran = true; });
        } catch (const std::bad_alloc&) {
            failed = true;
        }
        test::allocations_left = 0;
        EXPECT_EQ(ran, !failed) << "at allocation " << n;
        scheduler.run([&] { ran = true; });
        EXPECT_TRUE(ran) << "the next run is like any other";
    }
}

TEST(OutOfMemory, ATraceThatFailsBarsNoOther) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    Scheduler scheduler({.workers = 1});
    scheduler.run([&] {
        for (int n = 1; n <= 3; ++n) {
            test::allocations_left = n;
            try {
                (void)trace(scheduler, 1us);
            } catch (const std::bad_alloc&) {
            }
            test::allocations_left = 0;
            EXPECT_FALSE(scheduler.state().traced.load());
            EXPECT_TRUE(trace(scheduler, 1us).has_value());
        }
    });
}

// The kernel keeps what comes meanwhile.
TEST(OutOfMemory, ASignalIsHeardOnceThereIsMemoryToWaitForIt) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    SignalSet signals{SIGUSR1};
    TimedScheduler scheduler({.workers = 1});
    scheduler.run([&] {
        ::kill(::getpid(), SIGUSR1);
        test::allocations_refused = 0;
        test::allocations_left = 1;
        EXPECT_EQ(signals.wait(), SIGUSR1);
        test::allocations_left = 0;
        EXPECT_EQ(test::allocations_refused, 1);
    });
}

TEST(OutOfMemory, ALookupThatFailsKeepsNobodysPlace) {
    if (kTsan) GTEST_SKIP() << "memory does not run out here";
    Scheduler scheduler({.workers = 1});
    scheduler.run([] {
        const std::string name = "no such host, and more than a string holds in itself";
        for (int i = 0; i < 20; ++i) {
            for (int n = 1; n <= 4; ++n) {
                test::allocations_left = n;
                try {
                    (void)resolve(name, 80, now() + 10s);
                } catch (const std::exception&) {
                }
                test::allocations_left = 0;
            }
        }
        const Resolved found = resolve("localhost", 80, now() + 10s);
        EXPECT_TRUE(found) << found.error();
    });
}

// While a dormant that it has found waits for a stack, the watcher goes on standing in for the worker.
TEST(OutOfMemory, AStuckWorkersTimersFireThoughThereIsNoStackForItsDormant) {
    if (kTsan || kAsan) GTEST_SKIP() << "a sanitizer needs addresses of its own";
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "tasks are resumed on any worker";
#endif
    struct Sleeper : Dormant {
        explicit Sleeper(TcpStream s) : Dormant(&woken), stream(std::move(s)) {}
        static void woken(Dormant& dormant, Wake) { static_cast<Sleeper&>(dormant).awake.release(); }
        TcpStream stream;
        Semaphore awake{0};
    };
    struct Scene {
        explicit Scene(std::pair<TcpStream, TcpStream> pair)
            : sleeper(std::move(pair.first)), peer(std::move(pair.second)) {}
        Sleeper sleeper;
        TcpStream peer;
        std::atomic<int> where{-1};
        std::atomic<Time> due{};
        std::atomic<Time> woke{};
    };
    // Each stack is a slab of its own.
    TimedScheduler scheduler({.workers = 2, .stack = std::size_t{64} << 20});
    scheduler.run([&] {
        std::deque<Scene> scenes;
        TaskGroup timers;
        // Until a stream, a timer and this task are one worker's: others may have been taken along.
        for (bool together = false; !together;) {
            const auto worker = static_cast<int>(worker_index());
            Scene& scene = scenes.emplace_back(tcp_pair());
            timers.go([&scene] {
                scene.due = now() + 300ms;
                scene.where = static_cast<int>(worker_index());
                this_task::sleep_until(scene.due);
                scene.woke = now();
            });
            while (scene.where == -1) this_task::yield();
            together = scene.where == worker && static_cast<int>(worker_index()) == worker;
        }
        Scene& scene = scenes.back();
        ASSERT_TRUE(scene.sleeper.stream.doze(scene.sleeper, now() + 50ms));
        rlimit before{};
        ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
        const rlimit tight{mapped_bytes() + (std::size_t{16} << 20), before.rlim_max};
        ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
        while (scene.woke.load() == Time{} && now() < scene.due.load() + 5s) std::this_thread::yield();
        ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
        EXPECT_NE(scene.woke.load(), Time{}) << "the watcher waits for a stack";
        scene.sleeper.awake.acquire();
        timers.wait();
    });
}

}  // namespace
}  // namespace sluice::runtime
