#include "runtime/alarm.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>

#include "runtime/netpoller.h"
#include "runtime/scheduler.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

bool readable(const Alarm& alarm, std::chrono::milliseconds patience) {
    pollfd descriptor{alarm.descriptor(), POLLIN, 0};
    return ::poll(&descriptor, 1, static_cast<int>(patience.count())) == 1;
}

TEST(Alarm, RingsAtItsTimeAndNotBefore) {
    Alarm alarm;
    EXPECT_FALSE(readable(alarm, 0ms));
    const Time time = steady_now() + 20ms;
    alarm.set(time);
    ASSERT_TRUE(readable(alarm, 10s));
    EXPECT_GE(steady_now(), time);
}

TEST(Alarm, RingsAtOnceForWhatHasPassed) {
    for (const Time time : {Time{}, Time{} - 5s, steady_now() - 1ns}) {
        Alarm alarm;
        alarm.set(time);
        EXPECT_TRUE(readable(alarm, 10s));
    }
}

TEST(Alarm, KnowsUntilItHasRungByWhenItWill) {
    Alarm alarm;
    const Time time = steady_now() + 1h;
    EXPECT_FALSE(alarm.rings_by(time));
    EXPECT_TRUE(alarm.rings_by(kNever)) << "nobody waits for that";
    alarm.set(time);
    EXPECT_FALSE(alarm.rings_by(time - 1ns));
    EXPECT_TRUE(alarm.rings_by(time));
    EXPECT_TRUE(alarm.rings_by(time + 1h));
    alarm.set(time - 1min);
    EXPECT_TRUE(alarm.rings_by(time - 1min)) << "set anew";
    alarm.rang();
    EXPECT_FALSE(alarm.rings_by(time));
}

class NetpollerTest : public testing::Test {
  protected:
    Scheduler scheduler_{{.workers = 1}};
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
