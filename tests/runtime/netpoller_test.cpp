// How long the netpoller waits; what its slots do is in doze_test.cpp, tcp_test.cpp and listener_test.cpp.

#include "runtime/netpoller.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/scheduler.h"
#include "tests/runtime/overtime.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class NetpollerTest : public testing::Test {
  protected:
    TimedScheduler scheduler_{{.workers = 1}};
    TimerQueue timers_{steady_now()};
    Netpoller poller_{scheduler_, timers_};
    Woken woken_;
};

TEST_F(NetpollerTest, WaitsUntilItsTimeAndNotLess) {
    for (const Duration patience : {Duration(100us), Duration(5ms), Duration(3ms), Duration(20ms)}) {
        const Time until = steady_now() + patience;
        int waits = 0;
        for (; steady_now() < until; ++waits) poller_.wait(until, woken_);
        EXPECT_LE(waits, 2) << "one may end by an alarm that was set for an earlier";
        poller_.wait(steady_now() - 1s, woken_);  // over at once
    }
}

TEST_F(NetpollerTest, AnAlarmThatIsSetServesLaterWaits) {
    const Time first = steady_now() + 30ms;
    EXPECT_FALSE(poller_.wakes_by(first));
    poller_.interrupt();
    poller_.wait(first, woken_);  // over at once, and the alarm stays set
    EXPECT_TRUE(poller_.wakes_by(first));
    poller_.wait(first + 1h, woken_);
    EXPECT_GE(steady_now(), first);
    EXPECT_FALSE(poller_.wakes_by(first + 1h)) << "it has rung";
}

// As the watcher does for a worker that is stuck, and is so no longer.
TEST_F(NetpollerTest, NobodyOversleepsAnAlarmThatAnotherHasHeard) {
    std::atomic<bool> over{false};
    std::jthread watcher([&] {
        Woken woken;
        while (!over) {
            if (poller_.poll(woken)) poller_.interrupt();
        }
    });
    for (int i = 0; i < 200; ++i) {
        const Time until = steady_now() + 1ms + i * 5us;
        while (steady_now() < until) poller_.wait(until, woken_);
    }
    over = true;
}

}  // namespace
}  // namespace sluice::runtime
