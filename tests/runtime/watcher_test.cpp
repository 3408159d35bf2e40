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
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

// Runs `others`, which may take the thread of the task that is stuck, while a task of another worker never
// parks.
template <class F>
void beside_a_stuck_task(F others) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([&] {
        std::atomic<bool> stop{false};
        std::atomic<bool> stuck{false};
        std::atomic<pid_t> stuck_thread{0};
        WaitGroup group;
        group.add();
        go([&] {
            stuck_thread.store(::gettid());
            stuck.store(true);
            while (!stop.load()) std::this_thread::yield();
            group.done();
        });
        while (!stuck.load()) this_task::sleep_for(1ms);
        if constexpr (std::is_invocable_v<F, pid_t>) {
            others(stuck_thread.load());
        } else {
            others();
        }
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

// Until a worker has been found stuck, and what it kept from others is done.
void stay_stuck(Scheduler& scheduler, const std::atomic<int>& done, int all) {
    while (done.load() < all || counters(scheduler).stale_workers == 0) std::this_thread::yield();
}

TEST(Watcher, AStuckWorkersTimersFire) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([&] {
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
            stay_stuck(scheduler, woken, 8);
            group.done();
        });
        group.wait();
    });
}

TEST(Watcher, AStuckWorkersSocketsAreServed) {
    Scheduler scheduler({.workers = 2});
    scheduler.run([&] {
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
            stay_stuck(scheduler, read, 4);
            group.done();
        });
        group.wait();
    });
}

// What `value` says of each thread of this process but one, summed up.
std::uint64_t of_all_threads(const char* file, std::uint64_t (*value)(std::istream&), pid_t except = 0) {
    std::uint64_t sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        if (thread.path().filename() == std::to_string(except)) continue;
        std::ifstream in(thread.path() / file);
        sum += value(in);
    }
    return sum;
}

// How long threads were ready to run, and the machine had no processor for them.
Duration kept_waiting(pid_t except) {
    const auto second = [](std::istream& in) {
        std::uint64_t ran = 0;
        std::uint64_t waited = 0;
        in >> ran >> waited;
        return waited;
    };
    return Duration(static_cast<std::int64_t>(of_all_threads("schedstat", second, except)));
}

// A task that never parks, and two that do nothing but yield. A timer during which the machine kept our
// threads waiting says nothing about us, and is not counted.
TEST(Watcher, AMillisecondTimerIsPunctualBesideAStuckTaskAndAStormOfYields) {
    if (kTsan || kAsan) GTEST_SKIP() << "measures time";
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "every other wake goes to the worker that is stuck";
#endif
    constexpr std::size_t kRounds = 300;
    std::vector<Duration> late;
    beside_a_stuck_task([&](pid_t stuck) {
        std::atomic<bool> stop{false};
        WaitGroup storm;
        storm.add(2);
        for (int i = 0; i < 2; ++i) {
            go([&] {
                while (!stop.load()) this_task::yield();
                storm.done();
            });
        }
        for (const Time give_up = now() + 20s; late.size() < kRounds && now() < give_up;) {
            const Duration before = kept_waiting(stuck);
            const Time due = now() + 1ms;
            this_task::sleep_until(due);
            const Duration lateness = now() - due;
            if (kept_waiting(stuck) - before < 500us) late.push_back(lateness);
        }
        stop.store(true);
        storm.wait();
    });
    if (late.size() < kRounds) GTEST_SKIP() << "this machine has no processor to spare";
    std::ranges::sort(late);
    RecordProperty("p50_us", static_cast<int>(late[kRounds / 2] / 1us));
    RecordProperty("p99_us", static_cast<int>(late[kRounds * 99 / 100] / 1us));
    EXPECT_LE(late[kRounds * 99 / 100], 5ms);
}

TEST(Watcher, AnIdleSchedulerWakesUpFiveTimesASecondAtMost) {
    if (kTsan || kAsan) GTEST_SKIP() << "a sanitizer has threads of its own, which wake up";
    constexpr unsigned kWorkers = 4;
    Scheduler scheduler({.workers = kWorkers});
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
    Scheduler scheduler({.workers = 2, .on_deadlock = [](Scheduler& s) {
                             deadlocks.fetch_add(1);
                             EXPECT_NE(dump(s).find("2 tasks parked in channel receive"), std::string::npos)
                                 << dump(s);
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
        Scheduler scheduler({.workers = 2, .on_deadlock = [](Scheduler&) { deadlocks.fetch_add(1); }});
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

// What wakes a worker from its sleep, and comes when it is stuck instead, is not the watcher's to chase.
TEST(Watcher, AnAlarmOfAWorkerThatIsStuckCostsNothing) {
    Scheduler({.workers = 2}).run([] {
        WaitGroup slept;
        for (int i = 0; i < 8; ++i) {
            slept.add();
            go([&] {
                this_task::sleep_for(100ms);  // for this its worker sets the alarm
                slept.done();
            });
        }
        blocking([] { std::this_thread::sleep_for(20ms); });  // and wakes up by something else
        const std::clock_t before = std::clock();
        std::this_thread::sleep_for(700ms);  // 250 of these until the watcher, at rest, looks
        EXPECT_LE(std::clock() - before, CLOCKS_PER_SEC / 10);
        slept.wait();
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
