#include "runtime/asio.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <stop_token>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "runtime/stop.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

static_assert(asio::execution::is_executor<Executor>::value);
static_assert(asio::execution::is_executor<detail::InTurn>::value);

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
    asio::async_initiate<const UseTask, void(error_code)>(
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

TEST_P(AsioTest, ACancelledTaskCancelsItsOperation) {
    run([] {
        TaskGroup group;
        std::atomic<int> begun{0};
        error_code errors[2];
        group.go([&] {
            asio::steady_timer timer(Executor(), 1h);
            begun.fetch_add(1);
            timer.async_wait(use_task[errors[0]]);
        });
        group.go([&] {
            asio::signal_set signals(Executor(), SIGUSR2);
            begun.fetch_add(1);
            EXPECT_THROW(signals.async_wait(use_task), boost::system::system_error);
            EXPECT_EQ(signals.async_wait(use_task[errors[1]]), 0) << "one that begins when it is cancelled";
        });
        while (begun.load() < 2) this_task::yield();
        group.cancel();
        group.wait();
        for (const error_code error : errors) EXPECT_EQ(error, asio::error::operation_aborted);
    });
}

TEST_P(AsioTest, AnOperationEndsAtTheDeadlineOfItsTask) {
    run([] {
        asio::steady_timer timer(Executor(), 1h);
        const Time deadline = now() + 5ms;
        {
            const this_task::DeadlineScope scope(deadline);
            error_code error;
            timer.async_wait(use_task[error]);
            EXPECT_EQ(error, asio::error::timed_out);
        }
        EXPECT_GE(now(), deadline);
        timer.expires_after(1ms);
        timer.async_wait(use_task);  // neither it nor the task has come to harm
    });
}

TEST_P(AsioTest, AStopTokenCancelsAnOperation) {
    run([] {
        std::stop_source stop;
        std::jthread elsewhere([&] { stop.request_stop(); });
        const this_task::StopScope scope(stop.get_token());
        asio::steady_timer timer(Executor(), 1h);
        error_code error;
        timer.async_wait(use_task[error]);
        EXPECT_EQ(error, asio::error::operation_aborted);
    });
}

// An operation in parts: it waits again and again, each time for a moment.
struct Ticks {
    asio::steady_timer& timer;
    int left;

    template <class Self>
    void operator()(Self& self, error_code error = {}) {
        // Asked between two waits.
        if (self.get_cancellation_state().cancelled() != asio::cancellation_type::none)
            error = asio::error::operation_aborted;
        if (error || left-- == 0) return self.complete(error, std::max(left, 0));
        timer.expires_after(10us);
        timer.async_wait(std::move(self));
    }
};

int tick(asio::steady_timer& timer, int count, error_code& error) {
    return asio::async_compose<const UseTask, void(error_code, int)>(Ticks{timer, count}, use_task[error],
                                                                     timer);
}

TEST_P(AsioTest, AnOperationInPartsMayBeCancelledAtAnyMoment) {
    run([] {
        error_code error;
        asio::steady_timer timer{Executor()};
        EXPECT_EQ(tick(timer, 3, error), 0);
        EXPECT_FALSE(error);
        for (int round = 0; round < 50; ++round) {
            TaskGroup group;
            std::atomic<int> cancelled{0};
            for (int i = 0; i < 4; ++i) {
                group.go([&] {
                    asio::steady_timer own{Executor()};
                    error_code how;
                    tick(own, 1'000'000'000, how);
                    if (how == asio::error::operation_aborted) cancelled.fetch_add(1);
                });
            }
            this_task::sleep_for(round * 20us);
            group.cancel();
            group.wait();
            EXPECT_EQ(cancelled.load(), 4);
        }
    });
}

// As a library in C tells of its completions: by a call, from a thread of its own.
TEST_P(AsioTest, ACompletionMayComeFromAnyThread) {
    run([] {
        for (int i = 0; i < 100; ++i) {
            std::jthread thread;
            const int result = asio::async_initiate<const UseTask, void(error_code, int)>(
                [&](auto handler) {
                    thread =
                        std::jthread([handler = std::move(handler)]() mutable { handler(error_code(), 7); });
                },
                use_task);
            EXPECT_EQ(result, 7);
        }
    });
}

TEST_P(AsioTest, ALookupIsWaitedForInAnyCase) {
    run([] {
        TaskGroup group;
        group.go([] {
            asio::ip::tcp::resolver resolver{Executor()};
            EXPECT_EQ(resolver.async_resolve("127.0.0.1", "80", use_task).size(), 1U);
        });
        group.cancel();
        group.wait();
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
