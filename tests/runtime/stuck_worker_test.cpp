// A worker that a task holds up, in a loop or in a system call, beside one that is free: what it keeps from
// others goes on without it, and soon.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <ostream>
#include <thread>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

#include "runtime/blocking.h"
#include "runtime/go.h"
#include "runtime/inspect.h"
#include "runtime/sanitizer.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "runtime/watcher.h"
#include "tests/runtime/kept_waiting.h"
#include "tests/runtime/overtime.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

// The watcher looks every 10 ms while a worker is at work, and sees by the third look that it is stuck. The
// rest is for the host of a virtual machine.
constexpr Duration kTakenOverWithin = 100ms;

// What others are to get done while a worker is stuck.
class Work {
  public:
    explicit Work(int parts) : parts_(parts) {}
    void done() {
        last_ = now();
        done_.fetch_add(1);
    }
    bool all_done() const { return done_.load() == parts_; }
    // When the last of it was.
    Time last() const { return last_; }

  private:
    const int parts_;
    std::atomic<int> done_{0};
    std::atomic<Time> last_{};
};

enum class How { in_a_loop, in_a_system_call };

void PrintTo(How how, std::ostream* out) {
    *out << (how == How::in_a_loop ? "in a loop" : "in a system call");
}

class StuckWorker : public testing::TestWithParam<How> {
  protected:
    void run(auto main) {
        scheduler_.run(std::move(main));
        EXPECT_GE(counters(scheduler_).stale_workers, 1U);
    }

    // Holds this worker up until `work` is done, and the watcher has seen that it is stuck. The work is to be
    // done soon after that, or after `due`.
    void hold_up(const Work& work, Time due = Time::min()) {
        const std::uint64_t stale = counters(scheduler_).stale_workers;
        const auto wait = [&] {
            while (!work.all_done() || counters(scheduler_).stale_workers == stale) std::this_thread::yield();
        };
        const pid_t self = ::gettid();
        const Duration before = kept_waiting(self);
        const Time start = now();
        if (GetParam() == How::in_a_loop) {
            wait();
        } else {
            std::array<int, 2> ends;
            EXPECT_EQ(::pipe(ends.data()), 0);
            std::thread other([&] {
                wait();
                EXPECT_EQ(::write(ends[1], "x", 1), 1);
            });
            char byte = 0;
            EXPECT_EQ(::read(ends[0], &byte, 1), 1);
            other.join();
            for (const int end : ends) ::close(end);
        }
        if (kTsan || kAsan) return;
        EXPECT_LE(work.last() - std::max(start, due), kTakenOverWithin + kept_waiting(self) - before);
    }

    // While it lives, the other worker has no moment to itself: tasks that do nothing but yield.
    class Storm {
      public:
        Storm() {
            group_.add(2);
            for (int i = 0; i < 2; ++i) {
                go([this] {
                    ++blowing_;
                    while (!stop_.load()) this_task::yield();
                    group_.done();
                });
            }
            while (blowing_.load() < 2) this_task::yield();
        }
        ~Storm() {
            stop_ = true;
            group_.wait();
        }

      private:
        std::atomic<int> blowing_{0};
        std::atomic<bool> stop_{false};
        WaitGroup group_;
    };

    TimedScheduler scheduler_{{.workers = 2}};
};

INSTANTIATE_TEST_SUITE_P(Each, StuckWorker, testing::Values(How::in_a_loop, How::in_a_system_call),
                         [](const auto& how) {
                             return how.param == How::in_a_loop ? "InALoop" : "InASystemCall";
                         });

TEST_P(StuckWorker, WhatItWouldRunNextIsRunByTheOther) {
    run([&] {
        const Storm storm;
        for (int round = 0; round < 5; ++round) {
            WaitGroup group;
            group.add();
            go([&] {
                Work next(1);
                go([&] { next.done(); });
                hold_up(next);
                group.done();
            });
            group.wait();
        }
    });
}

// The other would come for it when it has nothing else to do, which is never.
TEST_P(StuckWorker, ItsQueueIsTakenOverByOneThatAlwaysHasWork) {
    run([&] {
        const Storm storm;
        WaitGroup group;
        group.add();
        go([&] {
            Work queue(100);
            for (int i = 0; i < 100; ++i) go([&] { queue.done(); });
            hold_up(queue);
            group.done();
        });
        group.wait();
    });
}

TEST_P(StuckWorker, ItsTimersFire) {
    run([&] {
        const Storm storm;
        Work sleepers(8);
        std::atomic<int> asleep{0};
        std::atomic<Time> due{Time::min()};
        WaitGroup group;
        group.add(9);
        for (int i = 0; i < 8; ++i) {
            go([&] {
                const Time end = now() + 30ms;
                due = end;
                asleep.fetch_add(1);
                this_task::sleep_until(end);
                sleepers.done();
                group.done();
            });
        }
        go([&] {
            while (asleep.load() < 8) this_task::yield();
            hold_up(sleepers, due);
            group.done();
        });
        group.wait();
    });
}

TEST_P(StuckWorker, ItsSocketsAreServed) {
    run([&] {
        const Storm storm;
        // Four pairs, so that each of the workers has ends of its own, whichever is stuck.
        std::vector<TcpStream> left, right;
        for (int i = 0; i < 4; ++i) {
            auto [a, b] = tcp_pair();
            left.push_back(std::move(a));
            right.push_back(std::move(b));
        }
        Work reads(4);
        std::atomic<int> reading{0};
        WaitGroup group;
        group.add(5);
        for (TcpStream& stream : right) {
            go([&] {
                std::array<char, 4> bytes;
                error_code error;
                reading.fetch_add(1);
                EXPECT_EQ(stream.read_some(asio::buffer(bytes), error), 1U);
                reads.done();
                group.done();
            });
        }
        go([&] {
            while (reading.load() < 4) this_task::yield();
            for (TcpStream& stream : left) {
                error_code error;
                stream.write_some(asio::buffer("x", 1), error);
            }
            hold_up(reads);
            group.done();
        });
        group.wait();
    });
}

// Beyond what the machine kept our threads waiting.
TEST_P(StuckWorker, AMillisecondTimerIsPunctualBesideItAndAStormOfYields) {
    if (kTsan || kAsan) GTEST_SKIP() << "measures time";
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "every other wake goes to the worker that is stuck";
#endif
    constexpr int kTimers = 300;
    std::vector<Duration> late;
    run([&] {
        const Storm storm;
        Work timers(kTimers);
        std::atomic<pid_t> stuck{0};
        WaitGroup group;
        group.add();
        go([&] {
            stuck = ::gettid();
            hold_up(timers, Time::max() - 1h);
            group.done();
        });
        while (stuck == 0) this_task::yield();
        for (int i = 0; i < kTimers; ++i) {
            const Duration before = kept_waiting(stuck);
            const Time due = now() + 1ms;
            this_task::sleep_until(due);
            const Duration lateness = now() - due;
            late.push_back(lateness - (kept_waiting(stuck) - before));
            timers.done();
        }
        group.wait();
    });
    std::ranges::sort(late);
    RecordProperty("p50_us", static_cast<int>(late[kTimers / 2] / 1us));
    RecordProperty("p99_us", static_cast<int>(late[kTimers * 99 / 100] / 1us));
    EXPECT_LE(late[kTimers * 99 / 100], 5ms);
}

// What wakes a worker from its sleep, and comes when it is stuck instead, is not the watcher's to chase.
TEST(StuckWorkerAtRest, ItsAlarmCostsNothing) {
    TimedScheduler({.workers = 2}).run([] {
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

}  // namespace
}  // namespace sluice::runtime
