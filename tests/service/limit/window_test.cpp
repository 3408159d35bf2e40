#include "service/limit/window.h"

#include <array>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/rule.h"

namespace sluice::limit {
namespace {

using namespace std::chrono_literals;

constexpr Nanos kMs = 1'000'000;
constexpr Nanos kSecond = 1000 * kMs;
constexpr Nanos kStart = 5000 * kSecond;  // where windows of 1 s, 10 s and 1000 s begin

struct Step {
    Nanos at_ms;  // since kStart
    std::uint64_t cost;
    bool admitted;
    std::uint64_t remaining;
    Nanos retry_after_ms;
    Nanos next_token_ms;
};

void play(const Rule& rule, const std::vector<Step>& steps) {
    State state;
    for (const Step& step : steps) {
        const Answer answer = rule.take(state, step.cost, kStart + step.at_ms * kMs);
        EXPECT_EQ(answer.admitted, step.admitted) << "at " << step.at_ms;
        EXPECT_EQ(answer.remaining, step.remaining) << "at " << step.at_ms;
        EXPECT_EQ(answer.retry_after, step.retry_after_ms * kMs) << "at " << step.at_ms;
        EXPECT_EQ(answer.next_token, step.next_token_ms * kMs) << "at " << step.at_ms;
    }
}

TEST(FixedWindow, Timeline) {
    play(FixedWindow(3, 1s), {
                                 {0, 0, true, 3, 0, 0},          // free, and all is there
                                 {0, 1, true, 2, 0, 1000},       //
                                 {400, 2, true, 0, 0, 600},      //
                                 {999, 1, false, 0, 1, 1},       // a millisecond before the next
                                 {1000, 3, true, 0, 0, 1000},    // which has them all
                                 {1000, 0, true, 0, 0, 1000},    //
                                 {1001, 1, false, 0, 999, 999},  //
                                 {3500, 2, true, 1, 0, 500},     // one window was left out
                                 {3600, 2, false, 1, 400, 400},  // too much, but one would do
                                 {3600, 1, true, 0, 0, 400},     //
                             });
}

TEST(SlidingWindow, Timeline) {
    play(SlidingWindow(10, 1s), {
                                    {500, 10, true, 0, 0, 600},     // all at once
                                    {600, 1, false, 0, 500, 500},   // until a tenth of the next has passed
                                    {1000, 1, false, 0, 100, 100},  //
                                    {1100, 1, true, 0, 0, 100},     //
                                    {1199, 1, false, 0, 1, 1},      //
                                    {1500, 4, true, 0, 0, 100},     // half of ten, and five
                                    {2000, 5, true, 0, 0, 200},     // five weigh in full
                                    {2200, 1, true, 0, 0, 200},     //
                                    {4000, 10, true, 0, 0, 1100},   // two windows later all is there
                                });
}

TEST(SlidingWindow, AdmitsNoBurstAroundTheBorder) {
    const SlidingWindow sliding(100, 1s);
    const FixedWindow fixed(100, 1s);
    State a, b;
    int smooth = 0, doubled = 0;
    for (Nanos at = 990; at < 1010; ++at)
        for (int i = 0; i < 50; ++i) {
            smooth += sliding.take(a, 1, kStart + at * kMs).admitted;
            doubled += fixed.take(b, 1, kStart + at * kMs).admitted;
        }
    EXPECT_EQ(smooth, 100);
    EXPECT_EQ(doubled, 200);
}

const std::array<Rule, 9> kWindows{
    FixedWindow(1, 1s),      FixedWindow(7, 10s),       FixedWindow(4'294'967'295, 24h * 365),
    SlidingWindow(1, 1s),    SlidingWindow(7, 10s),     SlidingWindow(100, 1ms),
    SlidingWindow(999, 1us), SlidingWindow(1000, 1min), SlidingWindow(4'294'967'295, 24h * 365)};

std::uint64_t some_cost(std::mt19937_64& random, const Rule& rule) {
    return random() % 4 == 0 ? random() % (rule.quota() + 1)
                             : random() % std::min<std::uint64_t>(rule.quota() + 1, 4);
}

TEST(Windows, WhoWaitsRetryAfterIsAdmittedAndANanosecondEarlierIsNot) {
    int refusals = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        for (const Rule& rule : kWindows) {
            std::mt19937_64 random(seed);
            const auto per = static_cast<Nanos>(rule.window_seconds()) * kSecond;
            State state;
            Nanos now = kStart + static_cast<Nanos>(random() % 1'000'000);
            for (int i = 0; i < 2000; ++i) {
                const std::uint64_t cost = some_cost(random, rule);
                const Answer answer = rule.take(state, cost, now);
                if (!answer.admitted) {
                    ++refusals;
                    ASSERT_GT(answer.retry_after, 0);
                    ASSERT_LE(answer.retry_after, 2 * per);
                    ASSERT_FALSE(rule.peek(state, cost, now + answer.retry_after - 1).admitted);
                    ASSERT_TRUE(rule.peek(state, cost, now + answer.retry_after).admitted);
                }
                if (answer.next_token > 0) {
                    ASSERT_GT(rule.peek(state, 0, now + answer.next_token).remaining, answer.remaining);
                    ASSERT_LE(rule.peek(state, 0, now + answer.next_token - 1).remaining, answer.remaining);
                } else {
                    ASSERT_EQ(answer.remaining, rule.quota());
                }
                const bool waits = !answer.admitted && random() % 2 == 0;
                const auto step = static_cast<Nanos>(random() % static_cast<std::uint64_t>(per / 3));
                now += waits ? answer.retry_after : random() % 3 == 0 ? step : 0;
            }
        }
    EXPECT_GT(refusals, 50'000);
}

TEST(Windows, UntilIsWhenTheLastOfManyIsAdmittedThatComeAsSoonAsTheyCan) {
    int rows = 0;
    for (const Rule& rule :
         {Rule(Bucket(3, 1s, 1)), Rule(Bucket(7, 1s, 20)), Rule(FixedWindow(1, 1s)),
          Rule(FixedWindow(7, 10s)), Rule(SlidingWindow(1, 1s)), Rule(SlidingWindow(2, 1s)),
          Rule(SlidingWindow(7, 10s)), Rule(SlidingWindow(100, 1ms))})
        for (std::uint64_t seed = 1; seed <= 200; ++seed, ++rows) {
            std::mt19937_64 random(seed);
            const auto per = rule.window_seconds() * static_cast<std::uint64_t>(kSecond);
            State state;
            Nanos now = kStart;
            for (std::uint64_t i = random() % 30; i > 0; --i) {
                now += static_cast<Nanos>(random() % (per / 5));
                rule.take(state, 1, now);
            }
            const std::uint64_t amount = 1 + random() % 60;
            const Nanos told = rule.until(state, amount, now);
            Nanos at = now;
            for (std::uint64_t i = 0; i < amount; ++i) {
                at += rule.peek(state, 1, at).retry_after;
                ASSERT_TRUE(rule.take(state, 1, at).admitted);
            }
            // Each wait is rounded up to a nanosecond, which a bucket that is full again loses.
            ASSERT_LE(told, at - now) << "of " << rule.quota() << ", seed " << seed;
            ASSERT_GE(told + static_cast<Nanos>(amount), at - now);
        }
    EXPECT_EQ(rows, 1600);
}

// Against what they are defined as, with whole histories and products of 128 bits.
TEST(Windows, AdmitPreciselyWhatTheirDefinitionSays) {
    __extension__ using Wide = unsigned __int128;
    struct Settings {
        std::uint64_t count;
        Nanos per;
    };
    int decided = 0;
    for (const auto& [count, per] : {Settings{1, kSecond}, {3, 1000}, {10, kSecond}, {1000, 60 * kSecond}})
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            std::mt19937_64 random(seed);
            const FixedWindow fixed(count, std::chrono::nanoseconds(per));
            const SlidingWindow sliding(count, std::chrono::nanoseconds(per));
            std::map<Nanos, std::uint64_t> in_fixed, in_sliding;
            State a, b;
            Nanos now = kStart;
            for (int i = 0; i < 5000; ++i, ++decided) {
                now += static_cast<Nanos>(random() % static_cast<std::uint64_t>(per / 2));
                const std::uint64_t cost = 1 + random() % std::min<std::uint64_t>(count, 3);
                const Nanos window = now / per;
                const bool fits = in_fixed[window] + cost <= count;
                ASSERT_EQ(fixed.take(a, cost, now).admitted, fits);
                if (fits) in_fixed[window] += cost;
                const Wide weight =
                    static_cast<Wide>(in_sliding[window - 1]) * static_cast<std::uint64_t>(per - now % per);
                const auto length = static_cast<std::uint64_t>(per);
                const bool slides = weight + static_cast<Wide>(in_sliding[window] + cost) * length <=
                                    static_cast<Wide>(count) * length;
                ASSERT_EQ(sliding.take(b, cost, now).admitted, slides);
                if (slides) in_sliding[window] += cost;
            }
        }
    EXPECT_EQ(decided, 400'000);
}

TEST(Windows, ForgettingWhoOwesNothingChangesNothing) {
    int forgotten = 0;
    for (const Rule& rule : kWindows)
        for (std::uint64_t seed = 1; seed <= 50; ++seed) {
            std::mt19937_64 random(seed);
            State state;
            Nanos now = kStart;
            for (int i = 0; i < 500; ++i) {
                const auto per = rule.window_seconds() * static_cast<std::uint64_t>(kSecond);
                now += random() % 3 == 0 ? static_cast<Nanos>(random() % (3 * per)) : 0;
                const std::uint64_t cost = some_cost(random, rule);
                if (!owes(state, now)) {
                    ++forgotten;
                    const Answer known = rule.peek(state, cost, now), unknown = rule.peek({}, cost, now);
                    ASSERT_EQ(known.admitted, unknown.admitted);
                    ASSERT_EQ(known.remaining, unknown.remaining);
                    ASSERT_EQ(known.next_token, unknown.next_token);
                }
                rule.take(state, cost, now);
            }
        }
    EXPECT_GT(forgotten, 20'000);
}

TEST(Windows, ClockStepBackNeitherRefundsNorPunishes) {
    for (const Rule& rule : {Rule(FixedWindow(5, 1min)), Rule(SlidingWindow(5, 1min))}) {
        State state;
        for (int i = 0; i < 5; ++i) ASSERT_TRUE(rule.take(state, 1, kStart).admitted);
        const Nanos back = kStart - 3600 * kSecond;
        EXPECT_FALSE(rule.take(state, 1, back).admitted) << "a refund";
        EXPECT_FALSE(rule.take(state, 1, back + kSecond).admitted);
        EXPECT_TRUE(rule.take(state, 1, back + 120 * kSecond).admitted) << "refused for the whole hour";
    }
}

TEST(Windows, ThreadWhoseClockIsALittleBehindCountsInTheLaterWindow) {
    for (const Rule& rule : {Rule(FixedWindow(5, 1min)), Rule(SlidingWindow(5, 1min))}) {
        State state;
        int admitted = 0;
        for (int i = 0; i < 20; ++i) admitted += rule.take(state, 1, kStart - 100 + 200 * (i % 2)).admitted;
        EXPECT_LE(admitted, 5 + 1);  // one may have been of the window before
        EXPECT_GE(admitted, 5);
    }
}

TEST(Windows, ReloadToAnotherLengthGivesNothingBack) {
    for (const auto& [before, after] : {std::pair<Rule, Rule>{FixedWindow(10, 1s), FixedWindow(10, 1min)},
                                        {FixedWindow(10, 1min), FixedWindow(10, 1s)},
                                        {SlidingWindow(10, 1s), SlidingWindow(10, 1min)},
                                        {SlidingWindow(10, 1min), SlidingWindow(10, 1s)}}) {
        State state;
        ASSERT_TRUE(before.take(state, 10, kStart + 59 * kSecond).admitted);
        EXPECT_FALSE(after.take(state, 1, kStart + 59 * kSecond + 1).admitted);
        EXPECT_TRUE(after.take(state, 1, kStart + 179 * kSecond).admitted);
    }
}

TEST(Windows, MoreThanTheyCountIsNeverAdmittedAndChangesNothing) {
    for (const Rule& rule : kWindows) {
        State state;
        const Answer answer = rule.take(state, rule.quota() + 1, kStart);
        EXPECT_FALSE(answer.admitted);
        EXPECT_EQ(answer.retry_after, kNever);
        EXPECT_EQ(answer.remaining, rule.quota());
        EXPECT_EQ(state, State{});
    }
}

// A reload: what the state says in nanoseconds of the old length is no count of the new one.
TEST(SlidingWindow, WindowsOfAnotherLengthCountNoMoreThanWasCounted) {
    std::mt19937_64 dice(3);
    int taken_for_counts = 0;
    for (int i = 0; i < 200'000; ++i) {
        const auto length = [&] { return Nanos(1 + static_cast<Nanos>(dice() % 7200)) * kSecond; };
        const SlidingWindow before(100, std::chrono::nanoseconds(length()));
        const std::chrono::nanoseconds per(length());
        const SlidingWindow after(100, per);
        State state;
        const Nanos now = kStart + static_cast<Nanos>(dice() % 10'000'000) * kMs;
        ASSERT_TRUE(before.take(state, 1, now).admitted);
        const Answer answer = after.take(state, 1, now + kMs);
        // Some could be counts: then the window before may have been used up, and of that a hundredth is free
        // soon.
        EXPECT_LE(answer.retry_after, per.count() / 100 + 1) << "from " << i;
        if (answer.remaining != 98) ++taken_for_counts;
    }
    EXPECT_LT(taken_for_counts, 2'000);
}

TEST(SlidingWindow, AReloadGivesNothingBackWhereTheEndsOfWindowsMeet) {
    const SlidingWindow half(10, 30s), whole(10, 60s);
    State state;
    const Nanos now = kStart / (60 * kSecond) * 60 * kSecond + 55 * kSecond;
    ASSERT_TRUE(half.take(state, 10, now).admitted);
    EXPECT_FALSE(whole.take(state, 1, now + 1).admitted);
}

}  // namespace
}  // namespace sluice::limit
