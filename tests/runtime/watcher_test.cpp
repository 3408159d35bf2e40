// What the watcher does for workers that are held up, and for stacks that were used deep.

#include "runtime/watcher.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/inspect.h"
#include "runtime/sanitizer.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

// Runs `others` while a task of another worker never parks.
template <class F>
void beside_a_stuck_task(F others) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([&] {
        std::atomic<bool> stop{false};
        std::atomic<bool> stuck{false};
        WaitGroup group;
        group.add();
        go([&] {
            stuck.store(true);
            while (!stop.load()) std::this_thread::yield();
            group.done();
        });
        while (!stuck.load()) this_task::sleep_for(1ms);
        others();
        stop.store(true);
        group.wait();
    });
}

TEST(Watcher, AStuckWorkersNextSlotGoesToTheOthers) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([] {
        for (int round = 0; round < 5; ++round) {
            std::atomic<bool> ran{false};
            WaitGroup group;
            group.add(1);
            go([&] {
                go([&] { ran.store(true); });                   // into the next-slot of this worker
                while (!ran.load()) std::this_thread::yield();  // which is not free for it
                group.done();
            });
            group.wait();
        }
    });
    EXPECT_GE(counters(scheduler).stale_workers, 1U);
}

TEST(Watcher, AStuckWorkersTimersFire) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([] {
        std::atomic<int> woken{0};
        std::atomic<int> asleep{0};
        WaitGroup group;
        group.add(9);
        for (int i = 0; i < 8; ++i) {
            go([&] {
                asleep.fetch_add(1);
                this_task::sleep_for(30ms);
                woken.fetch_add(1);
                group.done();
            });
        }
        go([&] {
            while (asleep.load() < 8) this_task::yield();
            while (woken.load() < 8) std::this_thread::yield();
            group.done();
        });
        group.wait();
    });
}

TEST(Watcher, AStuckWorkersSocketsAreServed) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([] {
        // Two pairs, so that each of the workers has an end of its own, whichever is stuck.
        std::vector<TcpStream> left, right;
        for (int i = 0; i < 4; ++i) {
            auto [a, b] = tcp_pair();
            left.push_back(std::move(a));
            right.push_back(std::move(b));
        }
        std::atomic<int> read{0};
        std::atomic<int> reading{0};
        WaitGroup group;
        group.add(5);
        for (TcpStream& stream : right) {
            go([&] {
                std::array<char, 4> bytes;
                error_code error;
                reading.fetch_add(1);
                EXPECT_EQ(stream.read_some(asio::buffer(bytes), error), 1U);
                read.fetch_add(1);
                group.done();
            });
        }
        go([&] {
            while (reading.load() < 4) this_task::yield();
            for (TcpStream& stream : left) {
                error_code error;
                stream.write_some(asio::buffer("x", 1), error);
            }
            while (read.load() < 4) std::this_thread::yield();
            group.done();
        });
        group.wait();
    });
}

// A task that never parks, and two that do nothing but yield.
TEST(Watcher, AMillisecondTimerIsPunctualBesideAStuckTaskAndAStormOfYields) {
    if (kTsan || kAsan) GTEST_SKIP() << "measures time";
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "every other wake goes to the worker that is stuck";
#endif
    constexpr int kRounds = 400;
    std::vector<Duration> late;
    beside_a_stuck_task([&] {
        std::atomic<bool> stop{false};
        WaitGroup storm;
        storm.add(2);
        for (int i = 0; i < 2; ++i) {
            go([&] {
                while (!stop.load()) this_task::yield();
                storm.done();
            });
        }
        for (int i = 0; i < kRounds; ++i) {
            const Time due = now() + 1ms;
            this_task::sleep_until(due);
            late.push_back(now() - due);
        }
        stop.store(true);
        storm.wait();
    });
    std::ranges::sort(late);
    RecordProperty("p50_us", static_cast<int>(late[kRounds / 2] / 1us));
    RecordProperty("p99_us", static_cast<int>(late[kRounds * 99 / 100] / 1us));
    // 5 ms on a machine of its own; a busy one adds what it takes from us.
    EXPECT_LE(late[kRounds / 2], 5ms);
    EXPECT_LE(late[kRounds * 99 / 100], 100ms);
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

// Waits until memory in use is below what is allowed.
bool falls_to(std::size_t bytes, Duration within) {
    for (const Time end = now() + within; now() < end; this_task::sleep_for(50ms)) {
        if (resident() <= bytes) return true;
    }
    return false;
}

TEST(Watcher, StacksOfParkedTasksThatWereDeepFallBack) {
    if (kTsan || kAsan) GTEST_SKIP() << "measures memory";
    constexpr std::size_t kTasks = 10'000;
    Scheduler scheduler({.workers = 2});
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
        EXPECT_TRUE(falls_to(before + kTasks * 8 * 1024, 30s))  // 3 s where nothing else runs
            << (resident() - before) / kTasks << " bytes each";
        release.close();
        ended.wait();
        // Ended deep, the stacks are in the pool.
        EXPECT_TRUE(falls_to(before + kTasks * 20 * 1024, 30s))
            << (resident() - before) / kTasks << " bytes each";
    });
}

// Frames that a parked task will return to are not touched, however long it stays.
TEST(Watcher, LiveFramesAreKept) {
    Scheduler scheduler({.workers = 2});
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
