#include "runtime/asio.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

static_assert(asio::execution::is_executor<Executor>::value);

class AsioTest : public OnWorkers {};
ON_WORKERS(AsioTest);

TEST_P(AsioTest, PostRunsInATaskOfTheScheduler) {
    run([] {
        WaitGroup group;
        group.add();
        Scheduler* const here = Scheduler::current();
        asio::post(Executor(), [&] {
            EXPECT_NE(current_task(), nullptr);
            EXPECT_EQ(Scheduler::current(), here);
            this_task::sleep_for(1ms);  // a handler is a task, and may park
            group.done();
        });
        group.wait();
    });
}

TEST_P(AsioTest, ATaskWaitsForATimer) {
    run([] {
        asio::steady_timer timer(Executor(), 5ms);
        const Time start = now();
        timer.async_wait(use_task);
        EXPECT_GE(now() - start, 5ms);
    });
}

// Waits for `timer`, and tells when the wait has begun: only from then on cancel() finds it.
void wait_for(asio::steady_timer& timer, std::atomic<bool>& begun, UseTask token) {
    asio::async_initiate<UseTask, void(error_code)>(
        [&](auto handler) {
            timer.async_wait(std::move(handler));
            begun.store(true);
        },
        token);
}

TEST_P(AsioTest, ACancelledTimerEndsTheWaitWithItsError) {
    run([] {
        for (const bool throws : {false, true}) {
            asio::steady_timer timer(Executor(), 1h);
            std::atomic<bool> begun{false};
            WaitGroup canceller;
            canceller.add();
            go([&] {
                while (!begun.load()) this_task::yield();
                timer.cancel();
                canceller.done();
            });
            error_code error;
            if (throws) {
                EXPECT_THROW(wait_for(timer, begun, use_task), boost::system::system_error);
            } else {
                wait_for(timer, begun, use_task[error]);
                EXPECT_EQ(error, asio::error::operation_aborted);
            }
            canceller.wait();
        }
    });
}

TEST_P(AsioTest, ATaskWaitsForTheResolver) {
    run([] {
        asio::ip::tcp::resolver resolver{Executor()};
        const auto results = resolver.async_resolve("127.0.0.1", "80", use_task);
        ASSERT_EQ(results.size(), 1U);
        EXPECT_EQ(results.begin()->endpoint().port(), 80);
        error_code error;
        resolver.async_resolve("no such host", "80", use_task[error]);
        EXPECT_TRUE(error);
    });
}

TEST_P(AsioTest, ATaskWaitsForASignal) {
    run([] {
        asio::signal_set signals(Executor(), SIGUSR2);
        go([] { ::raise(SIGUSR2); });
        EXPECT_EQ(signals.async_wait(use_task), SIGUSR2);
    });
}

TEST_P(AsioTest, CoroutinesRunOnIt) {
    run([] {
        WaitGroup group;
        group.add();
        const auto coroutine = [&]() -> asio::awaitable<int> {
            asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
            co_await timer.async_wait(asio::use_awaitable);
            co_return 7;
        };
        asio::co_spawn(Executor(), coroutine(), [&](std::exception_ptr failure, int value) {
            EXPECT_EQ(failure, nullptr);
            EXPECT_EQ(value, 7);
            group.done();
        });
        group.wait();
    });
}

TEST_P(AsioTest, ManyWaitAtOnce) {
    run([] {
        WaitGroup group;
        std::atomic<int> ended{0};
        for (int i = 0; i < 200; ++i) {
            group.add();
            go([&, i] {
                asio::steady_timer timer(Executor(), std::chrono::microseconds(i * 20));
                timer.async_wait(use_task);
                ended.fetch_add(1);
                group.done();
            });
        }
        group.wait();
        EXPECT_EQ(ended.load(), 200);
    });
}

}  // namespace
}  // namespace sluice::runtime
