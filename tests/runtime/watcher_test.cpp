// What the watcher does for workers that are held up, and for stacks that were used deep.

#include "runtime/watcher.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <unistd.h>

#include "runtime/blocking.h"
#include "runtime/channel.h"
#include "runtime/inspect.h"
#include "runtime/sanitizer.h"
#include "runtime/scheduler_state.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/kept_waiting.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

// What `value` says of each thread of this process, summed up.
std::uint64_t of_all_threads(const char* file, std::uint64_t (*value)(std::istream&)) {
    std::uint64_t sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream in(thread.path() / file);
        sum += value(in);
    }
    return sum;
}

TEST(Watcher, AnIdleSchedulerWakesUpFiveTimesASecondAtMost) {
    if (kTsan || kAsan) GTEST_SKIP() << "a sanitizer has threads of its own, which wake up";
    constexpr unsigned kWorkers = 4;
    TimedScheduler scheduler({.workers = kWorkers});
    scheduler.run([&] {
        const auto switches = [] {
            return of_all_threads("status", [](std::istream& in) {
                for (std::string name; in >> name;) {
                    std::uint64_t count = 0;
                    if (name == "voluntary_ctxt_switches:" && in >> count) return count;
                }
                return std::uint64_t{0};
            });
        };
        const auto asleep = [&] {
            unsigned count = 0;
            for (unsigned w = 0; w < kWorkers; ++w) count += scheduler.state().idle.contains(w) ? 1 : 0;
            return count;
        };
        while (asleep() < kWorkers - 1) this_task::sleep_for(1ms);
        const std::uint64_t before = switches();
        this_task::sleep_for(2s);
#ifdef SLUICE_FORCE_MIGRATION
        constexpr unsigned kOurOwn = 2;  // one worker's timer wakes us on another
#else
        constexpr unsigned kOurOwn = 1;
#endif
        EXPECT_LE(switches() - before, 2U * 5U + kOurOwn);
    });
}

std::atomic<Channel<int>*> stuck_channel{nullptr};
std::atomic<int> deadlocks{0};

TEST(Watcher, TasksThatNothingCanWakeAreTold) {
    deadlocks = 0;
    TimedScheduler scheduler(
        {.workers = 2, .on_deadlock = [](Scheduler& s) {
             deadlocks.fetch_add(1);
             EXPECT_NE(dump(s).find("2 tasks parked in channel receive"), std::string::npos) << dump(s);
             stuck_channel.load()->close();
         }});
    scheduler.run([] {
        for (int round = 0; round < 2; ++round) {
            Channel<int> never;
            stuck_channel = &never;
            WaitGroup group;
            group.add(2);
            for (int i = 0; i < 2; ++i) {
                go([&] {
                    never.receive();
                    group.done();
                });
            }
            group.wait();
        }
    });
    EXPECT_EQ(deadlocks.load(), 2);  // once each, and told again of the second
}

TEST(Watcher, TasksThatNothingCanWakeAreDumpedByDefault) {
    EXPECT_EXIT(
        {
            Scheduler scheduler({.workers = 1});
            Channel<int> never;
            std::thread rescue([&] {
                std::this_thread::sleep_for(2s);  // another thread may wake a task after all
                never.close();
            });
            scheduler.run([&] { never.receive(); });
            rescue.join();
            std::_Exit(0);  // what the parent set up is not for this process to clear away
        },
        testing::ExitedWithCode(0),
        "nothing is left that could wake them:\n1 task parked in channel receive");
}

// What may still wake a task: a timer, a socket, a call that blocks.
TEST(Watcher, TasksThatWaitForSomethingOutsideAreNoDeadlock) {
    deadlocks = 0;
    const auto wait_for = [](auto what) {
        TimedScheduler scheduler({.workers = 2, .on_deadlock = [](Scheduler&) { deadlocks.fetch_add(1); }});
        scheduler.run(what);
    };
    std::thread timer(wait_for, [] { this_task::sleep_for(1200ms); });
    std::thread blocked(wait_for, [] { blocking([] { std::this_thread::sleep_for(1200ms); }); });
    std::thread socket(wait_for, [] {
        auto [left, right] = stream_pair();
        std::thread peer([descriptor = right.native_handle()] {
            std::this_thread::sleep_for(1200ms);
            [[maybe_unused]] const ssize_t n = ::write(descriptor, "x", 1);
        });
        char byte = 0;
        error_code error;
        EXPECT_EQ(left.read_some(asio::buffer(&byte, 1), error), 1U);
        peer.join();
    });
    timer.join();
    blocked.join();
    socket.join();
    EXPECT_EQ(deadlocks.load(), 0);
}

std::size_t resident() {
    std::size_t size = 0;
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

[[gnu::noinline]] int dig(std::size_t bytes) {
    volatile char frame[4096];
    frame[0] = 1;
    return bytes <= sizeof frame ? frame[0] : dig(bytes - sizeof frame) + frame[0];
}

// Waits until memory in use is below what is allowed: for how long, beyond what the machine kept us waiting.
Duration falls_to(std::size_t bytes) {
    const Time start = now();
    const Duration before = kept_waiting();
    while (resident() > bytes) this_task::sleep_for(50ms);
    return now() - start - (kept_waiting() - before);
}

TEST(Watcher, StacksOfParkedTasksThatWereDeepFallBack) {
    if (kTsan || kAsan) GTEST_SKIP() << "measures memory";
    constexpr std::size_t kTasks = 10'000;
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        Channel<int> release;
        WaitGroup deep;
        WaitGroup ended;
        const std::size_t before = resident();
        deep.add(kTasks);
        ended.add(kTasks);
        for (std::size_t i = 0; i < kTasks; ++i) {
            go([&] {
                const int sum = dig(200 * 1024);
                deep.done();
                release.receive();
                EXPECT_EQ(dig(200 * 1024), sum) << "the stack is as good as before";
                ended.done();
            });
        }
        deep.wait();
        // On a crowded machine the first of them have been trimmed before the last is deep.
        EXPECT_TRUE(resident() > before + kTasks * 8 * 1024 || counters(scheduler).trimmed_stacks > 0);
        EXPECT_LE(falls_to(before + kTasks * 8 * 1024), 3s);
        release.close();
        ended.wait();
        // Ended deep, the stacks are in the pool.
        EXPECT_LE(falls_to(before + kTasks * 20 * 1024), 3s);
    });
}

// Frames that a parked task will return to are not touched, however long it stays.
TEST(Watcher, LiveFramesAreKept) {
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([] {
        for (int i = 0; i < 50; ++i) {
            go([i] {
                dig(100 * 1024);
                volatile int frame[8 * 1024];
                for (int k = 0; k < 8 * 1024; ++k) frame[k] = i + k;
                this_task::sleep_for(2'200ms);
                for (int k = 0; k < 8 * 1024; ++k) ASSERT_EQ(frame[k], i + k);
            });
        }
    });
}

}  // namespace
}  // namespace sluice::runtime
