#include "service/telemetry/counters.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/overtime.h"

namespace sluice::telemetry {
namespace {

using namespace std::chrono_literals;

RequestOutcome refused() {
    return {.verdict = Verdict::limited, .limit = "per-ip", .status = 429, .bytes_out = 10, .duration = 5us};
}

RequestOutcome answered() {
    return {.verdict = Verdict::allowed,
            .status = 200,
            .bytes_in = 3,
            .bytes_out = 100,
            .duration = 2ms,
            .upstream = "app"};
}

TEST(Counters, TellApartWhatWasDecidedAndWhatWasAnswered) {
    Counters counters(2);
    for (int i = 0; i < 3; ++i) counters.request_started();
    counters.account(refused());
    counters.account(answered());
    const Totals totals = counters.totals();
    EXPECT_EQ(totals.requests, 2U);
    EXPECT_EQ(totals.in_flight(), 1U);
    EXPECT_EQ(totals.verdicts(Verdict::allowed), 1U);
    EXPECT_EQ(totals.verdicts(Verdict::limited), 1U);
    EXPECT_EQ(totals.by_status[200 - 100], 1U);
    EXPECT_EQ(totals.by_status[429 - 100], 1U);
    EXPECT_EQ(totals.bytes_in, 3U);
    EXPECT_EQ(totals.bytes_out, 110U);
    EXPECT_EQ(totals.forwarded.count(), 1U);
    EXPECT_EQ(totals.own.count(), 1U);
    EXPECT_EQ(totals.latency().count(), 2U);
}

TEST(Counters, TakeARequestThatGotNoAnswer) {
    Counters counters(1);
    counters.request_started();
    counters.account({.status = 0, .client_aborted = true, .failure = UpstreamFailure::reset, .retries = 2});
    const Totals totals = counters.totals();
    EXPECT_EQ(totals.requests, 1U);
    EXPECT_EQ(totals.client_aborted, 1U);
    EXPECT_EQ(totals.retries, 2U);
    EXPECT_EQ(totals.upstream_failures[std::size_t(UpstreamFailure::reset)], 1U);
    for (const std::uint64_t n : totals.by_status) EXPECT_EQ(n, 0U);
}

TEST(Counters, EveryStatusOfThreeDigitsIsCounted) {
    Counters counters(1);
    for (const int status : {100, 599, 600, 999}) counters.account({.status = std::uint16_t(status)});
    const Totals totals = counters.totals();
    for (const std::size_t status : {100, 599, 600, 999}) EXPECT_EQ(totals.by_status.at(status - 100), 1U);
}

TEST(Counters, AStatusOutsideOfHttpIsNotCountedAsAnother) {
    Counters counters(1);
    for (const int status : {1, 99, 1000, 65535}) counters.account({.status = std::uint16_t(status)});
    for (const std::uint64_t n : counters.totals().by_status) EXPECT_EQ(n, 0U);
    EXPECT_EQ(counters.totals().requests, 4U);
}

TEST(Counters, ConnectionsOpenAndClose) {
    Counters counters(1);
    counters.connection_accepted();
    counters.connection_accepted();
    counters.connection_closed();
    counters.connection_refused();
    counters.handshake_done();
    counters.handshake_failed();
    counters.handshake_failed();
    const Totals totals = counters.totals();
    EXPECT_EQ(totals.connections_open(), 1U);
    EXPECT_EQ(totals.connections_accepted, 2U);
    EXPECT_EQ(totals.connections_refused, 1U);
    EXPECT_EQ(totals.handshakes_done, 1U);
    EXPECT_EQ(totals.handshakes_failed, 2U);
}

TEST(Counters, LoseNothingToThreadsThatAreNoWorkers) {
    constexpr int kThreads = 4, kEach = 20'000;
    Counters counters(2);
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < kEach; ++i) counters.account(answered());
            });
        }
    }
    EXPECT_EQ(counters.totals().requests, std::uint64_t(kThreads * kEach));
    EXPECT_EQ(counters.totals().bytes_out, std::uint64_t(kThreads * kEach * 100));
}

// Tasks migrate at every yield: were the worker's index kept across it, two workers would write to one shard
// without a lock, and counts would be lost.
TEST(Counters, LoseNothingToTasksThatMigrate) {
    constexpr int kTasks = 64, kEach = 2'000;
    for (const unsigned workers : {1U, 2U, 8U}) {
        runtime::TimedScheduler scheduler({.workers = workers});
        Counters counters(scheduler.workers());
        scheduler.run([&] {
            for (int t = 0; t < kTasks; ++t) {
                runtime::go([&] {
                    for (int i = 0; i < kEach; ++i) {
                        counters.account(answered());
                        if (i % 16 == 0) runtime::this_task::yield();
                    }
                });
            }
        });
        EXPECT_EQ(counters.totals().requests, std::uint64_t(kTasks * kEach));
        EXPECT_EQ(counters.totals().latency().count(), std::uint64_t(kTasks * kEach));
    }
}

TEST(LimitCounters, CountEachOutcomeByItself) {
    LimitCounters counters(2);
    counters.count(LimitCounters::Outcome::allowed);
    counters.count(LimitCounters::Outcome::allowed);
    counters.count(LimitCounters::Outcome::shadow_limited);
    EXPECT_EQ(counters.total(LimitCounters::Outcome::allowed), 2U);
    EXPECT_EQ(counters.total(LimitCounters::Outcome::shadow_limited), 1U);
    EXPECT_EQ(counters.total(LimitCounters::Outcome::limited), 0U);
}

}  // namespace
}  // namespace sluice::telemetry
