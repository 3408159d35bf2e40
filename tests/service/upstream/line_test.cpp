#include "service/upstream/line.h"

#include <atomic>
#include <chrono>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/go.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::upstream {
namespace {

using namespace std::chrono_literals;
using Outcome = Line::Outcome;

class LineOf : public runtime::InVirtualTime {};
class LineOnWorkers : public runtime::OnWorkers {};
ON_WORKERS(LineOnWorkers);

TEST_F(LineOf, PlacesIsFirstComeFirstServed) {
    run([] {
        Line line(2);
        ASSERT_TRUE(line.try_take() && line.try_take());
        ASSERT_FALSE(line.try_take());
        std::vector<int> served;
        runtime::WaitGroup all;
        for (int i = 0; i < 5; ++i) {
            all.add();
            runtime::go([&, i] {
                EXPECT_EQ(line.wait(runtime::kNever, {}), Outcome::taken);
                served.push_back(i);
                EXPECT_FALSE(line.try_take()) << "a newcomer passed those who wait";
                line.give_back();
                all.done();
            });
            runtime::this_task::sleep_for(1ms);
        }
        line.give_back();
        all.wait();
        EXPECT_EQ(served, (std::vector{0, 1, 2, 3, 4}));
        EXPECT_TRUE(line.try_take());
        EXPECT_FALSE(line.try_take()) << "one of the two is still taken";
    });
}

TEST_F(LineOf, WaitersEndsAtTheDeadline) {
    run([] {
        Line line(1);
        ASSERT_TRUE(line.try_take());
        const runtime::Time start = runtime::now();
        EXPECT_EQ(line.wait(start + 1700ms, {}), Outcome::late);
        EXPECT_GE(runtime::now(), start + 1700ms);
        EXPECT_LT(runtime::now(), start + 1710ms);
        line.give_back();
        EXPECT_TRUE(line.try_take()) << "who gave up holds nothing";
    });
}

TEST_F(LineOf, AClientThatLeavesGivesItsPlaceUp) {
    run([] {
        Line line(1);
        ASSERT_TRUE(line.try_take());
        bool left = false;
        const Pointless pointless{[](const void* of) { return *static_cast<const bool*>(of); }, &left};
        Outcome first{}, second{};
        runtime::WaitGroup all;
        all.add(2);
        runtime::go([&] {
            first = line.wait(runtime::kNever, pointless);
            all.done();
        });
        runtime::this_task::sleep_for(1ms);
        runtime::go([&] {
            second = line.wait(runtime::kNever, {});
            line.give_back();
            all.done();
        });
        runtime::this_task::sleep_for(10s);
        const runtime::Time start = runtime::now();
        left = true;
        runtime::this_task::sleep_for(600ms);
        EXPECT_EQ(first, Outcome::pointless) << "after half a second";
        EXPECT_LE(runtime::now(), start + 700ms);
        line.give_back();
        all.wait();
        EXPECT_EQ(second, Outcome::taken) << "who stood behind keeps the place, however often it looked up";
        EXPECT_TRUE(line.try_take());
    });
}

TEST_F(LineOf, FewerPlacesHoldForThoseThatAreTaken) {
    run([] {
        Line line(4);
        for (int i = 0; i < 3; ++i) ASSERT_TRUE(line.try_take());
        line.resize(1);
        EXPECT_EQ(line.taken(), 3);
        EXPECT_EQ(line.waiting(), 0);
        EXPECT_FALSE(line.try_take()) << "the fourth is there no more";
        Outcome late{};
        runtime::WaitGroup done;
        done.add();
        runtime::go([&] {
            late = line.wait(runtime::kNever, {});
            done.done();
        });
        runtime::this_task::sleep_for(1ms);
        line.give_back();
        line.give_back();
        runtime::this_task::sleep_for(1ms);
        EXPECT_EQ(line.waiting(), 1) << "two of three were too many";
        EXPECT_EQ(line.taken(), 1);
        line.give_back();
        done.wait();
        EXPECT_EQ(late, Outcome::taken);
        EXPECT_FALSE(line.try_take());
        line.give_back();
        EXPECT_EQ(line.taken(), 0);
        EXPECT_TRUE(line.try_take());
        EXPECT_FALSE(line.try_take());
    });
}

TEST_F(LineOf, MorePlacesGoToThoseWhoWait) {
    run([] {
        Line line(2);
        ASSERT_TRUE(line.try_take() && line.try_take());
        line.resize(1);  // one is too many now
        int served = 0;
        runtime::WaitGroup all;
        for (int i = 0; i < 2; ++i) {
            all.add();
            runtime::go([&] {
                EXPECT_EQ(line.wait(runtime::kNever, {}), Outcome::taken);
                ++served;
                all.done();
            });
        }
        runtime::this_task::sleep_for(1ms);
        line.resize(3);
        runtime::this_task::sleep_for(1ms);
        EXPECT_EQ(served, 1);
        line.resize(5);
        all.wait();
        EXPECT_EQ(line.taken(), 4);
        EXPECT_TRUE(line.try_take());
        EXPECT_FALSE(line.try_take());
    });
}

// Givers, takers, and waiters that give up at every moment: in the end all places are there again.
TEST_P(LineOnWorkers, PlacesAreNeitherLostNorMade) {
    run([] {
        constexpr int kPlaces = 3;
        Line line(kPlaces);
        std::atomic<int> holding{0};
        std::atomic<int> too_many{0};
        std::atomic<int> taken{0};
        runtime::WaitGroup all;
        for (int t = 0; t < 16; ++t) {
            all.add();
            runtime::go([&, t] {
                for (int i = 0; i < 500; ++i) {
                    const auto patience = std::chrono::microseconds((t * 7 + i * 13) % 97);
                    const bool got =
                        line.try_take() || line.wait(runtime::now() + patience, {}) == Outcome::taken;
                    if (!got) continue;
                    ++taken;
                    if (++holding > kPlaces) ++too_many;
                    if (i % 3 == 0) runtime::this_task::yield();
                    --holding;
                    line.give_back();
                }
                all.done();
            });
        }
        all.wait();
        EXPECT_EQ(too_many, 0);
        EXPECT_GT(taken, 500);
        for (int i = 0; i < kPlaces; ++i) EXPECT_TRUE(line.try_take());
        EXPECT_FALSE(line.try_take());
    });
}

// The same while the number of places changes all the time.
TEST_P(LineOnWorkers, ResizingNeitherLosesNorMakesPlaces) {
    run([] {
        constexpr int kPlaces = 5;
        Line line(kPlaces);
        std::atomic<bool> over{false};
        runtime::WaitGroup users;
        runtime::WaitGroup resizer;
        for (int t = 0; t < 16; ++t) {
            users.add();
            runtime::go([&, t] {
                for (int i = 0; i < 500; ++i) {
                    const auto patience = std::chrono::microseconds((t * 7 + i * 13) % 97);
                    if (!line.try_take() && line.wait(runtime::now() + patience, {}) != Outcome::taken)
                        continue;
                    if (i % 3 == 0) runtime::this_task::yield();
                    line.give_back();
                }
                users.done();
            });
        }
        resizer.add();
        runtime::go([&] {
            for (int i = 0; !over; ++i) {
                line.resize(1 + i % 9);
                runtime::this_task::yield();
            }
            resizer.done();
        });
        users.wait();
        over = true;
        resizer.wait();
        EXPECT_EQ(line.taken(), 0);
        line.resize(kPlaces);
        for (int i = 0; i < kPlaces; ++i) EXPECT_TRUE(line.try_take());
        EXPECT_FALSE(line.try_take());
    });
}

}  // namespace
}  // namespace sluice::upstream
