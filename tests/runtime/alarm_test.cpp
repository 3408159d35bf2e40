#include "runtime/alarm.h"

#include <chrono>

#include <gtest/gtest.h>
#include <poll.h>

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

}  // namespace
}  // namespace sluice::runtime
