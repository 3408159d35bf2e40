// Timelines as those of golang.org/x/time/rate's tests (what is admitted when), and the arithmetic against
// rational numbers that are never rounded.

#include "service/limit/gcra.h"

#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::limit {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kTick = 100'000'000;  // of the timelines: a tenth of a second
constexpr nanoseconds kDay = 24h;
constexpr Nanos kLatest = Nanos{1} << 61;  // 73 years of uptime

struct Step {
    Nanos time;
    std::uint64_t tokens;  // before the request
    std::uint64_t cost;
    bool admitted;
};

void run(const Bucket& bucket, const std::vector<Step>& timeline, Nanos tick = kTick,
         Nanos start = 1000 * kSecond) {
    State state;
    for (std::size_t i = 0; i < timeline.size(); ++i) {
        const Step& step = timeline[i];
        const Nanos now = start + step.time * tick;
        EXPECT_EQ(bucket.peek(state, 0, now).remaining, step.tokens) << "before step " << i;
        const Answer answer = bucket.take(state, step.cost, now);
        EXPECT_EQ(answer.admitted, step.admitted) << "at step " << i;
        EXPECT_EQ(answer.remaining, step.tokens - (step.admitted ? step.cost : 0)) << "after step " << i;
    }
}

TEST(Gcra, BurstOfOne) {
    run({10, 1s, 1}, {{0, 1, 1, true},
                      {0, 0, 1, false},
                      {0, 0, 1, false},
                      {1, 1, 1, true},
                      {1, 0, 1, false},
                      {1, 0, 1, false},
                      {2, 1, 2, false},  // more than the bucket holds
                      {2, 1, 1, true},
                      {2, 0, 1, false}});
}

TEST(Gcra, BurstOfThree) {
    run({10, 1s, 3}, {{0, 3, 2, true},
                      {0, 1, 2, false},
                      {0, 1, 1, true},
                      {0, 0, 1, false},
                      {1, 1, 4, false},
                      {2, 2, 1, true},
                      {3, 2, 1, true},
                      {4, 2, 1, true},
                      {4, 1, 1, true},
                      {4, 0, 1, false},
                      {4, 0, 1, false},
                      {9, 3, 3, true},
                      {9, 0, 0, true}});
}

TEST(Gcra, FillsUpToTheBurstAndNotFurther) {
    run({10, 1s, 3}, {{0, 3, 3, true},
                      {1, 1, 0, true},
                      {2, 2, 0, true},
                      {3, 3, 0, true},
                      {1000, 3, 3, true},
                      {1000, 0, 1, false}});
}

TEST(Gcra, TwoASecondBurstFourAdmitsOneEachHalfSecond) {
    const Bucket bucket(2, 1s, 4);
    State state;
    int admitted = 0;
    for (int i = 0; i < 20; ++i) admitted += bucket.take(state, 1, kSecond).admitted;
    EXPECT_EQ(admitted, 4);
    for (Nanos half = 1; half <= 10; ++half) {
        EXPECT_FALSE(bucket.take(state, 1, kSecond + half * kSecond / 2 - 1).admitted);
        EXPECT_TRUE(bucket.take(state, 1, kSecond + half * kSecond / 2).admitted);
        EXPECT_FALSE(bucket.take(state, 1, kSecond + half * kSecond / 2).admitted);
    }
}

TEST(Gcra, OnceADay) {
    run({1, kDay, 2},
        {{0, 2, 1, true},
         {0, 1, 1, true},
         {0, 0, 1, false},
         {23, 0, 1, false},
         {24, 1, 1, true},
         {47, 0, 1, false},
         {48, 1, 1, true}},
        3600 * kSecond);
}

TEST(Gcra, OnceANanosecond) {
    run({1'000'000'000, 1s, 5},
        {{0, 5, 5, true},
         {0, 0, 1, false},
         {1, 1, 1, true},
         {1, 0, 1, false},
         {4, 3, 3, true},
         {100, 5, 0, true}},
        1);
}

TEST(Gcra, BurstOfTwoToThe31) {
    constexpr std::uint64_t kBurst = std::uint64_t{1} << 31;
    run({10, 1s, kBurst}, {{0, kBurst, kBurst, true},
                           {0, 0, 1, false},
                           {1, 1, 1, true},
                           {1, 0, 1, false},
                           {1001, 1000, 1001, false},
                           {1001, 1000, 1000, true}});
}

TEST(Gcra, FullBeforeItWasEverAsked) {
    for (const Nanos now : {Nanos{0}, Nanos{1}, kSecond, Nanos{1} << 61}) {
        State state;
        EXPECT_TRUE(Bucket(1, kDay, 7).take(state, 7, now).admitted) << now;
        EXPECT_FALSE(Bucket(1, kDay, 7).take(state, 1, now).admitted) << now;
    }
}

TEST(Gcra, HostileCostIsRefusedAndSpendsNothing) {
    const Bucket bucket(1, kDay * 365, 100);
    for (const std::uint64_t cost :
         {std::uint64_t{101}, std::uint64_t{1} << 32, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
        State state;
        const Answer answer = bucket.take(state, cost, kSecond);
        EXPECT_FALSE(answer.admitted);
        EXPECT_EQ(answer.retry_after, kNever);
        EXPECT_EQ(answer.remaining, 100U);
        EXPECT_EQ(state, State{});
    }
}

TEST(Gcra, CostOfNothingIsAdmittedByAnEmptyBucket) {
    const Bucket bucket(1, 1s, 1);
    State state;
    ASSERT_TRUE(bucket.take(state, 1, kSecond).admitted);
    const State before = state;
    EXPECT_TRUE(bucket.take(state, 0, kSecond).admitted);
    EXPECT_EQ(state, before);
}

TEST(Gcra, WindowIsTheTimeToFillRoundedUp) {
    EXPECT_EQ(Bucket(10, 1s, 20).window_seconds(), 2U);
    EXPECT_EQ(Bucket(10, 1s, 1).window_seconds(), 1U);
    EXPECT_EQ(Bucket(3, 1s, 1).window_seconds(), 1U);
    EXPECT_EQ(Bucket(3, 1s, 3).window_seconds(), 1U);
    EXPECT_EQ(Bucket(3, 1s, 4).window_seconds(), 2U);
    EXPECT_EQ(Bucket(6, 1min, 3).window_seconds(), 30U);
}

// Time.

TEST(Gcra, ClockStepBackDoesNotRefund) {
    const Bucket bucket(10, 1s, 10);
    State state;
    ASSERT_TRUE(bucket.take(state, 10, 1000 * kSecond).admitted);
    EXPECT_FALSE(bucket.take(state, 1, 500 * kSecond).admitted);
    EXPECT_FALSE(bucket.take(state, 1, 500 * kSecond + kTick - 1).admitted);
}

TEST(Gcra, ClockStepBackDoesNotPunishLongerThanFillingTakes) {
    const Bucket bucket(10, 1s, 10);
    State state;
    ASSERT_TRUE(bucket.take(state, 10, 1000 * kSecond).admitted);
    ASSERT_FALSE(bucket.take(state, 1, 500 * kSecond).admitted);
    EXPECT_TRUE(bucket.take(state, 1, 500 * kSecond + kTick).admitted);
    EXPECT_TRUE(bucket.take(state, 9, 501 * kSecond).admitted);
}

TEST(Gcra, ThreadWhoseClockWasReadEarlierGivesNothingBack) {
    const Bucket bucket(10, 1s, 10);
    State state;
    ASSERT_TRUE(bucket.take(state, 10, kSecond).admitted);
    for (Nanos late = 1; late < kSecond / 2; late *= 3) {
        EXPECT_FALSE(bucket.take(state, 1, kSecond - late).admitted);
        EXPECT_TRUE(bucket.take(state, 0, kSecond - late).admitted);
    }
    EXPECT_FALSE(bucket.take(state, 1, kSecond + kTick - 1).admitted);
    EXPECT_TRUE(bucket.take(state, 1, kSecond + kTick).admitted);
}

TEST(Gcra, SmallerBucketAfterAReloadIsEmptyAndFills) {
    State state;
    ASSERT_TRUE(Bucket(100, 1h, 100).take(state, 100, kSecond).admitted);
    const Bucket smaller(10, 1s, 20);
    EXPECT_FALSE(smaller.take(state, 1, kSecond).admitted);
    EXPECT_TRUE(smaller.take(state, 1, kSecond + kTick).admitted);
    EXPECT_FALSE(smaller.take(state, 1, kSecond + kTick).admitted);
}

// Exactness.

/// A bucket of rational numbers: time and tokens in units of 1/count nanosecond, in 128 bits, never rounded.
class Exact {
  public:
    Exact(std::uint64_t count, nanoseconds per, std::uint64_t burst)
        : count_(count), interval_(static_cast<Wide>(per.count())), depth_(interval_ * burst) {}

    bool take(std::uint64_t cost, Nanos now) {
        const Wide at = static_cast<Wide>(now) * count_;
        const Wide tat = std::max(tat_, at) + interval_ * cost;
        if (tat > at + depth_) return false;
        tat_ = tat;
        return true;
    }
    std::uint64_t remaining(Nanos now) const {
        const Wide at = static_cast<Wide>(now) * count_;
        return static_cast<std::uint64_t>((at + depth_ - std::max(tat_, at)) / interval_);
    }

  private:
    __extension__ using Wide = __int128;
    Wide count_, interval_, depth_, tat_ = 0;
};

struct RateCase {
    std::uint64_t count;
    nanoseconds per;
    std::uint64_t burst;
};
const std::vector<RateCase> kRates = {{1, kDay, 1},
                                      {1, kDay, 20},
                                      {3, 1s, 1},
                                      {3, 1s, 7},
                                      {7, 1s, 100},
                                      {10, 1s, 20},
                                      {100, 1h, 100},
                                      {999'999'937, 1s, 1000},
                                      {1'000'000'000, 1s, 1},
                                      {1'000'000'000, 1s, std::uint64_t{1} << 31},
                                      {4'294'967'291, 1min, 12345},
                                      {1, 1s, std::uint64_t{1} << 31},
                                      {365, kDay * 365, 1 << 15}};

TEST(Gcra, MillionStepsDriftByNothing) {
    std::mt19937_64 random(1);
    for (const RateCase& rate : kRates) {
        const Bucket bucket(rate.count, rate.per, rate.burst);
        Exact exact(rate.count, rate.per, rate.burst);
        State state;
        constexpr int kSteps = 1'000'000;
        const auto interval = static_cast<std::uint64_t>(rate.per.count()) / rate.count + 1;
        // A token each on the mean; fewer where the clock would run out.
        const std::uint64_t longest = std::min<std::uint64_t>(2 * interval, kLatest / kSteps * 198 / 100);
        Nanos now = kSecond;
        for (int step = 0; step < kSteps; ++step) {
            now += static_cast<Nanos>(random() % longest);
            ASSERT_LT(now, kLatest);
            const std::uint64_t cost =
                random() % 16 ? 1 : random() % std::min<std::uint64_t>(rate.burst + 2, 1000);
            const bool expected = exact.take(cost, now);
            const Answer answer = bucket.take(state, cost, now);
            ASSERT_EQ(answer.admitted, expected) << rate.count << '/' << rate.per.count() << " step " << step;
            ASSERT_EQ(answer.remaining, exact.remaining(now))
                << rate.count << '/' << rate.per.count() << " step " << step;
        }
    }
}

TEST(Gcra, WhoWaitsPreciselyRetryAfterIsAdmittedAndNobodyBefore) {
    std::mt19937_64 random(2);
    for (const RateCase& rate : kRates) {
        const Bucket bucket(rate.count, rate.per, rate.burst);
        State state;
        Nanos now = kSecond;
        for (int round = 0; round < 10'000 && now < kLatest; ++round) {
            const std::uint64_t cost = 1 + random() % rate.burst;
            const Answer answer = bucket.take(state, cost, now);
            if (answer.admitted) continue;
            ASSERT_GT(answer.retry_after, 0);
            ASSERT_FALSE(bucket.peek(state, cost, now + answer.retry_after - 1).admitted);
            now += answer.retry_after;
            ASSERT_TRUE(bucket.take(state, cost, now).admitted);
        }
    }
}

TEST(Gcra, NextTokenTellsWhenOneMoreIsThere) {
    std::mt19937_64 random(3);
    for (const RateCase& rate : kRates) {
        const Bucket bucket(rate.count, rate.per, rate.burst);
        State state;
        Nanos now = kSecond;
        for (int round = 0; round < 10'000; ++round) {
            now += static_cast<Nanos>(random() %
                                      (1 + static_cast<std::uint64_t>(rate.per.count()) / rate.count));
            const Answer answer =
                bucket.take(state, 1 + random() % std::min<std::uint64_t>(rate.burst, 3), now);
            if (answer.next_token == 0) {
                ASSERT_EQ(answer.remaining, rate.burst);
                continue;
            }
            ASSERT_EQ(bucket.peek(state, 0, now + answer.next_token).remaining, answer.remaining + 1);
            ASSERT_EQ(bucket.peek(state, 0, now + answer.next_token - 1).remaining, answer.remaining);
        }
    }
}

TEST(Gcra, OwesUntilItIsFullAgain) {
    std::mt19937_64 random(4);
    for (const RateCase& rate : kRates) {
        const Bucket bucket(rate.count, rate.per, rate.burst);
        State state;
        ASSERT_FALSE(owes(state, kSecond));
        for (int i = 0; i < 100; ++i) bucket.take(state, 1 + random() % rate.burst, kSecond);
        ASSERT_TRUE(owes(state, kSecond));
        const Nanos full = state.tat + (state.fraction > 0);
        EXPECT_FALSE(owes(state, full));
        EXPECT_TRUE(owes(state, full - 1));
        EXPECT_EQ(bucket.peek(state, 0, full).next_token, 0);
    }
}

}  // namespace
}  // namespace sluice::limit
