#include "runtime/timer_wheel.h"

#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

Time at(Duration since_start) {
    return Time(since_start);
}

std::vector<const Timer*> advance(TimerWheel& wheel, Time now) {
    std::vector<const Timer*> fired;
    wheel.advance(now, [&](Timer& timer) { fired.push_back(&timer); });
    return fired;
}

TEST(TimerWheel, FiresWhenTheTimeHasComeAndNotBefore) {
    for (const Duration when :
         {Duration(1), Duration(65'535), Duration(65'536), Duration(1ms), Duration(4'194'304),
          Duration(300ms), Duration(20s), Duration(1h), Duration(24h), Duration(24h * 40)}) {
        TimerWheel wheel;
        Timer timer;
        wheel.arm(timer, at(when));
        EXPECT_TRUE(advance(wheel, at(when - 1ns)).empty()) << when.count();
        EXPECT_EQ(advance(wheel, at(when)), std::vector<const Timer*>{&timer}) << when.count();
        EXPECT_FALSE(timer.armed());
        EXPECT_EQ(wheel.next_event(), kNever);
    }
}

TEST(TimerWheel, FiresWhatIsPastAtTheNextAdvance) {
    TimerWheel wheel(at(10s));
    Timer timer;
    wheel.arm(timer, at(3s));
    EXPECT_EQ(advance(wheel, at(10s)).size(), 1U);
}

TEST(TimerWheel, KeepsWhatLiesBeyondItsReach) {
    TimerWheel wheel;
    Timer timer;
    wheel.arm(timer, at(24h * 365));
    EXPECT_TRUE(advance(wheel, at(24h * 364)).empty());
    EXPECT_EQ(advance(wheel, at(24h * 365)).size(), 1U);
}

TEST(TimerWheel, ForgetsWhatIsDisarmed) {
    TimerWheel wheel;
    Timer first;
    Timer second;
    Timer third;
    for (Timer* timer : {&first, &second, &third}) wheel.arm(*timer, at(5ms));
    wheel.disarm(second);
    wheel.disarm(second);
    EXPECT_EQ(wheel.armed(), 2U);
    EXPECT_EQ(advance(wheel, at(1s)).size(), 2U);
}

TEST(TimerWheel, TellsTheNextEventExactlyWhenItIsNear) {
    TimerWheel wheel;
    Timer late;
    Timer soon;
    wheel.arm(late, at(3ms));
    wheel.arm(soon, at(2ms + 123ns));
    EXPECT_EQ(wheel.next_event(), at(2ms + 123ns));
}

TEST(TimerWheel, LetsASinkArmAgain) {
    TimerWheel wheel;
    Timer timer;
    wheel.arm(timer, at(1ms));
    int fired = 0;
    wheel.advance(at(1ms), [&](Timer& t) {
        ++fired;
        wheel.arm(t, at(1ms + 10us));
    });
    EXPECT_EQ(fired, 1);
    EXPECT_EQ(advance(wheel, at(2ms)).size(), 1U);
}

// Against a sorted map: random times over all levels, random steps, random disarming.
TEST(TimerWheel, AgreesWithASortedMap) {
    std::mt19937_64 random(7);
    TimerWheel wheel(at(1s));
    std::vector<std::unique_ptr<Timer>> timers;
    std::multimap<Time, Timer*> expected;
    Time now = at(1s);
    for (int step = 0; step < 20'000; ++step) {
        const auto span = Duration(std::int64_t{1} << (random() % 50));
        if (random() % 3 != 0) {
            timers.push_back(std::make_unique<Timer>());
            const Time when =
                now +
                Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(span.count())));
            wheel.arm(*timers.back(), when);
            expected.emplace(when, timers.back().get());
        } else if (random() % 4 == 0 && !expected.empty()) {
            wheel.disarm(*expected.begin()->second);
            expected.erase(expected.begin());
        } else {
            now += span / 64;
            std::size_t fired = 0;
            wheel.advance(now, [&](Timer& timer) {
                ++fired;
                EXPECT_LE(timer.when, now);
            });
            const auto due = expected.upper_bound(now);
            ASSERT_EQ(fired, static_cast<std::size_t>(std::distance(expected.begin(), due)))
                << "step " << step;
            expected.erase(expected.begin(), due);
        }
        ASSERT_EQ(wheel.armed(), expected.size());
        ASSERT_LE(wheel.next_event(), expected.empty() ? kNever : std::max(expected.begin()->first, now));
    }
}

// At every 2^36 ticks, 52 days, all groups of a tick change at once.
TEST(TimerWheel, GoesOnBehindTheEndOfItsReach) {
    constexpr Duration kEnd{std::int64_t{1} << 52};
    std::mt19937_64 dice(7);
    for (int round = 0; round < 40; ++round) {
        const auto random = [&](Duration most) {
            return Duration(static_cast<std::int64_t>(dice() % static_cast<std::uint64_t>(most.count())));
        };
        Time now = at(kEnd - random(round % 2 == 0 ? Duration(1s) : Duration(100s)));
        TimerWheel wheel(now);
        std::vector<std::unique_ptr<Timer>> timers;
        Duration latest{};
        for (int step = 0; step < 500 || wheel.armed() > 0; ++step) {
            if (step < 500) {
                timers.push_back(std::make_unique<Timer>());
                wheel.arm(*timers.back(), now + random(Duration(std::int64_t{1} << (10 + dice() % 40))));
            }
            ASSERT_NE(wheel.next_event(), kNever);
            now = std::max(now, wheel.next_event());
            wheel.advance(now, [&](Timer& timer) {
                EXPECT_LE(timer.when, now);
                latest = std::max<Duration>(latest, now - timer.when);
            });
        }
        EXPECT_LE(latest, Duration(65'536)) << "a tick";
    }
}

}  // namespace
}  // namespace sluice::runtime
