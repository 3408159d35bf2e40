#include "runtime/resolve.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <vector>

#include <boost/asio/error.hpp>

#include "runtime/go.h"
#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class ResolveTest : public OnWorkers {};
ON_WORKERS(ResolveTest);

TEST_P(ResolveTest, DigitsAndNames) {
    run([] {
        EXPECT_EQ(resolve("127.0.0.1", 80, now() + 30s).value(), std::vector<Endpoint>{loopback(80)});
        auto names = resolve("localhost", 81, now() + 30s).value();
        EXPECT_NE(std::find(names.begin(), names.end(), loopback(81)), names.end());
        EXPECT_FALSE(resolve("no such host", 80, now() + 30s).has_value());
    });
}

TEST_P(ResolveTest, SaysWhyItGaveUp) {
    run([] {
        EXPECT_EQ(resolve("localhost", 81, now()).error(), asio::error::timed_out);
        TaskGroup group;
        group.cancel();
        group.go(
            [] { EXPECT_EQ(resolve("localhost", 81, now() + 30s).error(), asio::error::operation_aborted); });
        group.wait();
    });
}

TEST_P(ResolveTest, PatienceIsWithTheLookupAndNotWithTheWaitForAPlace) {
    Semaphore places(2);
    std::promise<void> promise;
    const std::shared_future<void> go_on = promise.get_future().share();
    std::atomic<int> late{0};
    std::atomic<int> under_way{0};
    run([&] {
        const auto lookup = [&](Duration patience) {
            return detail::resolve_patiently(
                places,
                [&] {
                    ++under_way;
                    go_on.wait();
                    --under_way;
                    return Resolved(std::vector{loopback(80)});
                },
                patience, [&] { ++late; });
        };
        WaitGroup all;
        const auto start = [&](Duration patience) {
            all.add();
            go([&, patience] {
                EXPECT_EQ(lookup(patience).value(), std::vector{loopback(80)});
                all.done();
            });
        };
        start(1ms);
        start(1ms);
        while (late < 2) this_task::sleep_for(1ms);
        start(1h);
        TaskGroup leaving;
        leaving.go([&] { EXPECT_EQ(lookup(0ms).error(), asio::error::operation_aborted); });
        for (int i = 0; i < 5; ++i) this_task::sleep_for(1ms);
        EXPECT_EQ(under_way, 2) << "two places are two lookups";
        EXPECT_EQ(late, 2) << "who waits for one is not late";
        leaving.cancel();
        leaving.wait();
        promise.set_value();
        all.wait();
        EXPECT_EQ(late, 2);
        EXPECT_TRUE(places.try_acquire() && places.try_acquire()) << "all places are there again";
    });
}

TEST_P(ResolveTest, PatienceEndsWithTheTask) {
    run([] {
        EXPECT_EQ(resolve_patiently("127.0.0.1", 80, 1s, [] {}).value(), std::vector{loopback(80)});
        EXPECT_FALSE(resolve_patiently("no such host", 80, 1h, [] {}).has_value());
        TaskGroup group;
        group.cancel();
        group.go([] {
            EXPECT_EQ(resolve_patiently("localhost", 81, 1h, [] {}).error(), asio::error::operation_aborted);
        });
        group.wait();
    });
}

}  // namespace
}  // namespace sluice::runtime
