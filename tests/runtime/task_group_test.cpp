#include "runtime/task_group.h"

#include <atomic>
#include <chrono>
#include <latch>
#include <memory>
#include <mutex>
#include <stdexcept>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "runtime/blocking.h"
#include "runtime/channel.h"
#include "runtime/condition.h"
#include "runtime/once.h"
#include "runtime/semaphore.h"
#include "runtime/shared_mutex.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class TaskGroupTest : public OnWorkers {};
ON_WORKERS(TaskGroupTest);
class TaskGroupInVirtualTime : public InVirtualTime {};

TEST_P(TaskGroupTest, WaitsForItsTasks) {
    run([] {
        TaskGroup group;
        std::atomic<int> ended{0};
        for (int i = 0; i < 100; ++i) {
            group.go(
                [&](int yields) {
                    for (int k = 0; k < yields; ++k) this_task::yield();
                    ended.fetch_add(1);
                },
                i % 5);
        }
        group.wait();
        EXPECT_EQ(ended.load(), 100);
        group.go([&] { ended.fetch_add(1); });
        group.wait();
        EXPECT_EQ(ended.load(), 101);
    });
}

TEST_P(TaskGroupTest, JoinsInItsDestructor) {
    run([] {
        std::atomic<int> ended{0};
        {
            TaskGroup group;
            for (int i = 0; i < 20; ++i) {
                group.go([&] {
                    this_task::sleep_for(1ms);
                    ended.fetch_add(1);
                });
            }
        }
        EXPECT_EQ(ended.load(), 20);
    });
}

TEST_P(TaskGroupTest, TheFirstErrorCancelsTheRestAndIsThrown) {
    run([] {
        TaskGroup group;
        Channel<int> never;
        std::atomic<int> cancelled{0};
        for (int i = 0; i < 10; ++i) {
            group.go([&] {
                EXPECT_EQ(never.receive(), std::nullopt);
                EXPECT_TRUE(this_task::cancelled());
                cancelled.fetch_add(1);
            });
        }
        group.go([] { throw std::runtime_error("the first"); });
        try {
            group.wait();
            ADD_FAILURE() << "nothing was thrown";
        } catch (const std::runtime_error& e) {
            EXPECT_STREQ(e.what(), "the first");
        }
        EXPECT_EQ(cancelled.load(), 10);
        group.wait();  // it was thrown once
    });
}

TEST_P(TaskGroupTest, AnErrorThatNobodyWaitedForIsReported) {
    TimedScheduler scheduler({.workers = GetParam(), .on_exception = [](std::exception_ptr, const Task&) {}});
    scheduler.run([] {
        TaskGroup group;
        group.go([] { throw 1; });
    });
    EXPECT_EQ(counters(scheduler).uncaught, 1U);
}

TEST_P(TaskGroupTest, AnErrorIsReportedAlsoWhenItsOwnerFails) {
    TimedScheduler scheduler({.workers = GetParam(), .on_exception = [](std::exception_ptr, const Task&) {}});
    scheduler.run([] {
        try {
            Semaphore failed(0);
            TaskGroup group;
            group.go([&] {
                failed.release();
                throw std::logic_error("the cause");
            });
            failed.acquire();
            throw std::logic_error("what came of it");
        } catch (const std::logic_error&) {
        }
    });
    EXPECT_EQ(counters(scheduler).uncaught, 1U);
}

TEST_P(TaskGroupTest, LeavingTheScopeByAnExceptionCancels) {
    run([] {
        Channel<int> never;
        EXPECT_THROW(
            {
                TaskGroup group;
                group.go([&] { EXPECT_EQ(never.receive(), std::nullopt); });
                throw std::logic_error("out");
            },
            std::logic_error);
    });
}

TEST_P(TaskGroupTest, CancelReachesTheTasksOfItsTasks) {
    run([] {
        TaskGroup outer;
        Channel<int> never;
        std::atomic<int> ended{0};
        outer.go([&] {
            TaskGroup inner;
            for (int i = 0; i < 5; ++i) {
                inner.go([&] {
                    never.receive();
                    ended.fetch_add(1);
                });
            }
            inner.wait();
            EXPECT_TRUE(inner.cancelled());
        });
        this_task::yield();
        outer.cancel();
        outer.go([&] {
            EXPECT_TRUE(this_task::cancelled()) << "started after cancel()";
            ended.fetch_add(1);
        });
        outer.wait();
        EXPECT_EQ(ended.load(), 6);
    });
}

// Every wait that can say that it was cut short is.
TEST_P(TaskGroupTest, CancelEndsEveryKindOfWait) {
    run([] {
        auto [left, right] = tcp_pair();
        TcpStream& stream = left;
        auto listener = TcpListener::bind(loopback(0)).value();
        Semaphore semaphore(0);
        Channel<int> channel;
        Mutex mutex;
        Condition condition;
        WaitGroup pending;
        pending.add();
        Mutex locked;
        SharedMutex written;
        const std::lock_guard locked_lock(locked);
        const std::lock_guard written_lock(written);
        Once once;
        Semaphore once_begun(0);
        TaskGroup first;
        first.go([&] {
            once.call([&] {
                once_begun.release();
                semaphore.acquire();
            });
        });
        once_begun.acquire();
        const auto end_of_call = std::make_shared<std::latch>(1);
        TaskGroup group;
        group.go([&] { this_task::sleep_for(1h); });
        group.go([&] { EXPECT_FALSE(semaphore.try_acquire_until(kNever)); });
        group.go([&] { EXPECT_FALSE(channel.send(1)); });
        group.go([&] {
            std::unique_lock lock(mutex);
            EXPECT_FALSE(condition.wait_until(lock, kNever));
            EXPECT_TRUE(lock.owns_lock());
        });
        group.go([&] { EXPECT_FALSE(pending.wait_until(kNever)); });
        group.go([&] { EXPECT_FALSE(locked.try_lock_until(kNever)); });
        group.go([&] { EXPECT_FALSE(written.try_lock_until(kNever)); });
        group.go([&] { EXPECT_FALSE(written.try_lock_shared_until(kNever)); });
        group.go([&] { EXPECT_FALSE(once.call_until(kNever, [] {})); });
        group.go([&] { EXPECT_FALSE(blocking_until(kNever, [end_of_call] { end_of_call->wait(); })); });
        group.go([&] { EXPECT_EQ(listener.accept().error(), asio::error::operation_aborted); });
        group.go([&] {
            std::array<char, 1> byte;
            error_code error;
            stream.read_some(asio::buffer(byte), error);
            EXPECT_EQ(error, asio::error::operation_aborted);
        });
        for (int i = 0; i < 20; ++i) this_task::yield();
        group.cancel();
        group.wait();
        EXPECT_EQ(channel.try_receive(), std::nullopt) << "whoever was cancelled has left the queue";
        pending.done();
        end_of_call->count_down();
        semaphore.release();
        first.wait();
    });
}

TEST_P(TaskGroupTest, CancelMeetsItsTasksAtAnyMoment) {
    run([] {
        for (int round = 0; round < 200; ++round) {
            TaskGroup group;
            Channel<int> never;
            for (int i = 0; i < 3; ++i) group.go([&] { never.receive(); });
            for (int i = 0; i < round % 4; ++i) this_task::yield();
            group.cancel();
            group.wait();
        }
    });
}

TEST_F(TaskGroupInVirtualTime, ADeadlineHoldsForAllWaitsAndIsInherited) {
    run([] {
        const Time start = now();
        auto [left, right] = tcp_pair();
        TcpStream& stream = left;
        Channel<int> never;
        {
            this_task::DeadlineScope within(start + 2s);
            {
                this_task::DeadlineScope longer(start + 1h);
                EXPECT_EQ(this_task::deadline(), start + 2s) << "only ever shorter";
            }
            TaskGroup group;
            group.go([&] {
                EXPECT_EQ(never.receive(), std::nullopt);
                EXPECT_EQ(now() - start, 2s);
            });
            group.go([&] {
                std::array<char, 1> byte;
                error_code error;
                stream.read_some(asio::buffer(byte), error);
                EXPECT_EQ(error, asio::error::timed_out);
                EXPECT_EQ(now() - start, 2s);
            });
            group.wait();
        }
        EXPECT_EQ(now() - start, 2s);
        EXPECT_EQ(this_task::deadline(), kNever);
        this_task::sleep_for(1s);
        EXPECT_EQ(now() - start, 3s);
    });
}

}  // namespace
}  // namespace sluice::runtime
