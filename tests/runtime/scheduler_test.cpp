#include "runtime/scheduler.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/buffer.hpp>

#include "runtime/channel.h"
#include "runtime/sanitizer.h"
#include "runtime/semaphore.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class SchedulerTest : public OnWorkers {};
ON_WORKERS(SchedulerTest);

TEST_P(SchedulerTest, ReturnsWhenMainAndAllTasksHaveEnded) {
    std::atomic<int> ended{0};
    run([&] {
        for (int i = 0; i < 10; ++i) {
            go([&, i] {
                this_task::sleep_for(std::chrono::milliseconds(i));
                go([&] { ended.fetch_add(1); });
            });
        }
    });
    EXPECT_EQ(ended.load(), 10);
}

TEST_P(SchedulerTest, RethrowsWhatLeavesMain) {
    TimedScheduler scheduler({.workers = GetParam()});
    EXPECT_THROW(scheduler.run([] { throw std::runtime_error("main"); }), std::runtime_error);
    bool ran = false;
    scheduler.run([&] { ran = true; });
    EXPECT_TRUE(ran);
}

TEST_P(SchedulerTest, RunsWhatOtherThreadsSpawn) {
    TimedScheduler scheduler({.workers = GetParam()});
    std::atomic<int> ran{0};
    scheduler.spawn([&](int n) { ran.fetch_add(n); }, 1);  // before run()
    scheduler.run([&] {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 1'000; ++i) scheduler.spawn([&] { ran.fetch_add(1); });
            });
        }
        while (ran.load() < 3'001) this_task::sleep_for(100us);
    });
    EXPECT_EQ(ran.load(), 3'001);
}

// Where its thread is kept waiting, a thief has no loot that is brief: then another storm.
TEST(Scheduler, AThiefOfBriefTasksNaps) {
    if (kAsan || kTsan) GTEST_SKIP() << "every task is a long one here";
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "every task that is woken runs elsewhere here";
#endif
    TimedScheduler scheduler({.workers = 2});
    const Overtime overtime(scheduler);
    scheduler.run([&] {
        while (counters(scheduler).naps == 0) {
            constexpr std::uint32_t kTasks = 100'000;
            WaitGroup ended;
            ended.add(kTasks);
            for (std::uint32_t i = 0; i < kTasks; ++i) go([&] { ended.done(); });
            ended.wait();
        }
    });
    EXPECT_LE(counters(scheduler).naps, counters(scheduler).steals);
}

// Every spawn finds all workers asleep, or about to be.
TEST_P(SchedulerTest, LosesNoWakeupOfIdleWorkers) {
    TimedScheduler scheduler({.workers = GetParam()});
    std::atomic<int> ran{0};
    std::atomic<bool> stop{false};
    std::jthread outside([&] {
        for (int i = 1; i <= 5'000; ++i) {
            scheduler.spawn([&] { ran.fetch_add(1); });
            while (ran.load() < i) std::this_thread::yield();
        }
        stop.store(true);
    });
    scheduler.run([&] {
        while (!stop.load()) this_task::sleep_for(1ms);
    });
    EXPECT_EQ(ran.load(), 5'000);
}

TEST_P(SchedulerTest, NumbersItsWorkers) {
    const unsigned workers = GetParam();
    EXPECT_EQ(worker_index(), kNoWorker);
    run([=] {
        for (int i = 0; i < 100; ++i) go([=] { EXPECT_LT(worker_index(), workers); });
    });
}

TEST_P(SchedulerTest, GivesEveryTaskAnIdOfItsOwn) {
    std::mutex mutex;
    std::set<std::uint64_t> ids;
    run([&] {
        for (int i = 0; i < 3'000; ++i) {
            go([&] {
                std::lock_guard lock(mutex);
                EXPECT_TRUE(ids.insert(this_task::id()).second);
            });
        }
    });
    EXPECT_EQ(ids.size(), 3'000U);
    EXPECT_FALSE(ids.contains(0));
}

TEST_P(SchedulerTest, CountsAndReportsExceptionsThatLeaveATask) {
    static std::atomic<int> reported;
    reported.store(0);
    TimedScheduler scheduler(
        {.workers = GetParam(), .on_exception = [](std::exception_ptr e, const Task& task) {
             EXPECT_NE(std::string(task.file.load()).find("scheduler_test.cpp"), std::string::npos);
             EXPECT_THROW(std::rethrow_exception(e), std::logic_error);
             reported.fetch_add(1);
         }});
    scheduler.run([] {
        for (int i = 0; i < 20; ++i) go([] { throw std::logic_error("in a task"); });
    });
    EXPECT_EQ(reported.load(), 20);
    EXPECT_EQ(counters(scheduler).uncaught, 20U);
}

TEST_P(SchedulerTest, SaysOnStderrWhereATaskThatThrewWasSpawned) {
    testing::internal::CaptureStderr();
    run([] { go([] { throw std::logic_error("no such key"); }); });
    const std::string text = testing::internal::GetCapturedStderr();
    EXPECT_NE(text.find("scheduler_test.cpp:"), std::string::npos) << text;
    EXPECT_NE(text.find("no such key"), std::string::npos) << text;
}

TEST_P(SchedulerTest, EndsTheProcessOnAnExceptionOnlyWhenAsked) {
    EXPECT_DEATH(
        {
            Scheduler scheduler({.workers = GetParam(), .abort_on_exception = true});
            scheduler.run([] { go([] { throw 7; }); });
        },
        "not a std::exception");
}

// A storm of yields and wakes between tasks starves neither timers nor the global queue.
TEST_P(SchedulerTest, StarvesNobodyInAStormOfYields) {
    run([] {
        std::atomic<bool> stop{false};
        WaitGroup storm;
        storm.add(20);
        for (int i = 0; i < 20; ++i) {
            go([&] {
                while (!stop.load()) this_task::yield();
                storm.done();
            });
        }
        Scheduler& scheduler = *Scheduler::current();
        std::atomic<bool> spawned{false};
        std::jthread outside([&] { scheduler.spawn([&] { spawned.store(true); }); });
        for (int i = 0; i < 5; ++i) this_task::sleep_for(1ms);
        while (!spawned.load()) this_task::yield();
        stop.store(true);
        storm.wait();
    });
}

// What comes over a socket has its turn as a yield has.
TEST_P(SchedulerTest, StarvesNoSocketInAStormOfYields) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        TcpStream near = TcpStream::connect(listener.local(), now() + 30s).value();
        TcpStream far = listener.accept().value();
        std::atomic<bool> stop{false};
        WaitGroup storm;
        for (int i = 0; i < 200; ++i)
            go([counted = Counted(storm), &stop] {
                while (!stop.load()) this_task::yield();
            });
        go([counted = Counted(storm), &far] {
            std::array<char, 1> byte;
            error_code error;
            while (far.read_some(boost::asio::buffer(byte), error) == 1)
                far.write_some(boost::asio::buffer(byte), error);
        });
        error_code error;
        near.read_deadline(now() + 30s);
        for (int i = 0; i < 100; ++i) {
            std::array<char, 1> byte{'x'};
            near.write_some(boost::asio::buffer(byte), error);
            EXPECT_EQ(near.read_some(boost::asio::buffer(byte), error), 1U) << error;
        }
        near.shutdown_send(error);
        stop.store(true);
        storm.wait();
    });
}

TEST_P(SchedulerTest, SpreadsWorkOverItsWorkers) {
    const unsigned workers = GetParam();
    if (workers == 1) GTEST_SKIP() << "one worker has nobody to share with";
    std::atomic<unsigned> inside{0};
    run([&] {
        // Each occupies a worker until as many are at work as there are workers.
        for (unsigned i = 0; i < workers; ++i) {
            go([&] {
                inside.fetch_add(1);
                while (inside.load() < workers) std::this_thread::yield();
            });
        }
    });
    EXPECT_EQ(inside.load(), workers);
}

// Each wakes the other into the next-slot, past a third that is queued: three times, then they queue as well.
TEST(Scheduler, TwoThatTalkPassAThirdThreeTimesInARow) {
    TimedScheduler scheduler({.workers = 1});
    scheduler.run([] {
        Channel<int> ping, pong;
        int turns = 0;
        WaitGroup talking;
        talking.add(2);
        go([&] {
            for ([[maybe_unused]] const int ball : ping) {
                ++turns;
                pong.send(0);
            }
            talking.done();
        });
        go([&] {
            for (int i = 0; i < 1000; ++i) {
                ping.send(0);
                pong.receive();
                ++turns;
            }
            ping.close();
            talking.done();
        });
        int most = 0;
        while (turns < 2000) {
            const int before = turns;
            this_task::yield();
            most = std::max(most, turns - before);
        }
        EXPECT_EQ(most, 1 + 3);  // the first came out of the queue
        talking.wait();
    });
}

TEST(Scheduler, MeasuresTheCpusItMayUse) {
    EXPECT_GE(available_cpus(), 1U);
    EXPECT_LE(available_cpus(), std::thread::hardware_concurrency());
    EXPECT_EQ(Scheduler().workers(), available_cpus());
}

TEST(SchedulerVirtualTime, NeverRunsBackwards) {
    TimedScheduler scheduler({.virtual_time = true});
    scheduler.run([] {
        this_task::sleep_for(10s);
        const Time before = now();
        this_task::sleep_until(before - 5s);
        EXPECT_EQ(now(), before);
        Semaphore never(0);
        EXPECT_FALSE(never.try_acquire_until(before - 5s));
        EXPECT_EQ(now(), before);
    });
}

TEST(SchedulerVirtualTime, JumpsToTheNextTimerAndStandsStillOtherwise) {
    TimedScheduler scheduler({.virtual_time = true});
    const auto began = std::chrono::steady_clock::now();
    scheduler.run([] {
        const Time start = now();
        this_task::sleep_for(24h * 365);
        EXPECT_EQ(now() - start, Duration(24h * 365));
        for (int i = 0; i < 1'000; ++i) this_task::yield();
        EXPECT_EQ(now() - start, Duration(24h * 365));
        go([start] {
            this_task::sleep_for(7ns);
            EXPECT_EQ(now() - start, Duration(24h * 365 + 7ns));
        });
    });
    EXPECT_LT(std::chrono::steady_clock::now() - began, 1min);
}

TEST(SchedulerVirtualTime, WakesSleepersInTheOrderOfTheirTimes) {
    TimedScheduler scheduler({.virtual_time = true});
    std::vector<int> order;
    scheduler.run([&] {
        for (const int ms : {50, 3, 7'000, 1, 400'000, 90}) {
            go([&order, ms] {
                this_task::sleep_for(std::chrono::milliseconds(ms));
                order.push_back(ms);
            });
        }
    });
    EXPECT_EQ(order, (std::vector<int>{1, 3, 50, 90, 7'000, 400'000}));
}

std::vector<int> order_of(std::uint64_t seed) {
    TimedScheduler scheduler({.virtual_time = true, .seed = seed});
    std::vector<int> order;
    scheduler.run([&] {
        for (int i = 0; i < 8; ++i) go([&order, i] { order.push_back(i); });
    });
    return order;
}

TEST(SchedulerVirtualTime, RepeatsTheOrderOfASeed) {
    std::set<std::vector<int>> orders;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        EXPECT_EQ(order_of(seed), order_of(seed));
        orders.insert(order_of(seed));
    }
    EXPECT_GT(orders.size(), 10U);
}

TEST(SchedulerVirtualTime, WaitsForWorkOutsideThatIsHeld) {
    TimedScheduler scheduler({.virtual_time = true});
    scheduler.run([&] {
        const Time start = now();
        std::jthread outside;
        struct Arg {
            Scheduler& scheduler;
            std::jthread& thread;
        } arg{scheduler, outside};
        go([] { this_task::sleep_for(1h); });
        scheduler.hold();
        park(
            WaitReason::blocking, nullptr,
            [](void* a, Task* task) {
                auto& [s, thread] = *static_cast<Arg*>(a);
                thread = std::jthread([task, &s] {
                    unpark(task);
                    s.release();
                });
                return true;
            },
            &arg);
        EXPECT_EQ(now(), start);
    });
}

TEST(SchedulerVirtualTime, ReportsTasksThatNothingCanWake) {
    EXPECT_DEATH(
        {
            Scheduler scheduler({.virtual_time = true});
            scheduler.run(
                [] { park(WaitReason::condition, nullptr, [](void*, Task*) { return true; }, nullptr); });
        },
        "parked in condition.*nothing is left that could wake them");
}

}  // namespace
}  // namespace sluice::runtime
