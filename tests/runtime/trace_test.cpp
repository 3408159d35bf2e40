// What the runtime shows of its workers: the trace of their events, and how long tasks wait for them.

#include "runtime/trace.h"

#include <atomic>
#include <chrono>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/channel.h"
#include "runtime/inspect.h"
#include "runtime/scheduler_state.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;

// Waves of tasks that are long enough to be stolen, and that park, until `stop`.
void waves(std::atomic<bool>& stop) {
    while (!stop.load()) {
        WaitGroup group;
        for (int i = 0; i < 32; ++i) {
            group.add();
            go([&group] {
                const Time until = now() + 100us;
                while (now() < until) {
                }
                this_task::sleep_for(100us);
                group.done();
            });
        }
        group.wait();
    }
}

TEST(Trace, HoldsRunsParksStealsAndSleepsOfEachWorkerAsJson) {
#ifdef SLUICE_FORCE_MIGRATION
    GTEST_SKIP() << "what is resumed on another worker need not be stolen";
#endif
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        std::atomic<bool> stop{false};
        WaitGroup group;
        group.add();
        go([&] {
            waves(stop);
            group.done();
        });
        // Until there is one with all of them in it: on a crowded machine the other worker may not get to
        // run.
        const Time give_up = now() + 30s;
        std::set<std::string> seen;
        while (!(seen.contains("run") && seen.contains("park") && seen.contains("steal") &&
                 seen.contains("sleep"))) {
            ASSERT_LT(now(), give_up) << "of all kinds of events: " << Json(seen).dump();
            const Json all = Json::parse(trace(scheduler, 50ms).value());
            std::set<int> workers;
            for (const Json& event : all.at("traceEvents")) {
                workers.insert(event.at("tid").get<int>());
                if (event.at("ph") == "M") continue;
                EXPECT_GE(event.at("ts").get<double>(), 0);
                EXPECT_GE(event.value("dur", 0.0), 0);
                if (event.contains("cat")) {
                    EXPECT_NE(event.at("name").get<std::string>().find(".cpp:"), std::string::npos);
                    EXPECT_GT(event.at("args").at("task").get<std::uint64_t>(), 0U);
                }
                seen.insert(event.contains("cat") ? "run" : event.at("name").get<std::string>());
            }
            EXPECT_EQ(workers, (std::set{0, 1}));
        }
        stop.store(true);
        group.wait();
    });
}

TEST(Trace, KeepsNoMoreThanItsRing) {
    TimedScheduler scheduler({.workers = 1});
    scheduler.run([&] {
        std::atomic<bool> stop{false};
        WaitGroup group;
        group.add(2);
        for (int i = 0; i < 2; ++i) {
            go([&] {
                while (!stop.load()) this_task::yield();
                group.done();
            });
        }
        std::size_t events = 0;
        while (events < kTraceEvents)  // a slow machine needs longer to fill it
            events = Json::parse(trace(scheduler, 100ms).value()).at("traceEvents").size();
        EXPECT_LE(events, 2 * kTraceEvents + 1);  // a run that parks is two lines; one names the worker
        stop.store(true);
        group.wait();
    });
}

TEST(Trace, IsOneAtATime) {
    TimedScheduler scheduler({.workers = 1});
    scheduler.run([&] {
        WaitGroup group;
        group.add();
        go([&] {
            EXPECT_TRUE(trace(scheduler, 200ms).has_value());
            group.done();
        });
        this_task::yield();
        while (scheduler.state().traced.load()) {
            EXPECT_FALSE(trace(scheduler, 1ms).has_value());
            this_task::sleep_for(20ms);
        }
        group.wait();
        EXPECT_TRUE(trace(scheduler, 1ms).has_value());
    });
}

class SchedulingDelay : public OnWorkers {};
ON_WORKERS(SchedulingDelay);

TEST_P(SchedulingDelay, OfOneWakeInSomeHundredIsMeasured) {
    TimedScheduler scheduler({.workers = GetParam()});
    constexpr int kRounds = 20 * kDelaySampledEvery;
    scheduler.run([] {
        Channel<int> ping;
        Channel<int> pong;
        WaitGroup group;
        group.add();
        go([&] {
            for (const int i : ping) pong.send(i);
            group.done();
        });
        for (int i = 0; i < kRounds; ++i) {
            ping.send(i);
            pong.receive();
        }
        ping.close();
        group.wait();
    });
    const Delays delays = counters(scheduler).scheduling_delay;
    EXPECT_GE(delays.count(), 10U);  // each worker counts for itself
    EXPECT_LE(delays.count(), 4U * kRounds / kDelaySampledEvery + 10);
    EXPECT_GT(delays.sum, Duration::zero());
}

// A task that keeps its only worker busy is waited for, and that is seen.
TEST(SchedulingDelay, CountsTheTimeBehindATaskThatDoesNotPark) {
    TimedScheduler scheduler({.workers = 1});
    scheduler.run([] {
        for (int i = 0; i < 2 * kDelaySampledEvery; ++i) {
            go([] {});
            const Time until = now() + (i == kDelaySampledEvery / 2 ? 0ms : 300us);
            while (now() < until) {
            }
            this_task::yield();
        }
    });
    const Delays delays = counters(scheduler).scheduling_delay;
    ASSERT_GE(delays.count(), 1U);
    EXPECT_GE(delays.sum, 250us);
    EXPECT_GE(delays.quantile(1), 250us);
}

TEST(SchedulingDelay, QuantilesAreTheBoundsOfTheirBuckets) {
    Delays delays;
    EXPECT_EQ(delays.quantile(0.5), Duration::zero());
    delays.counts[0] = 98;     // up to 1 µs
    delays.counts[3] = 1;      // up to 10 µs
    delays.counts.back() = 1;  // longer than the last bound
    EXPECT_EQ(delays.quantile(0.5), 1us);
    EXPECT_EQ(delays.quantile(0.99), 10us);
    EXPECT_EQ(delays.quantile(1), 1s);
}

}  // namespace
}  // namespace sluice::runtime
