#include "runtime/stop.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stop_token>
#include <thread>
#include <vector>

#include "runtime/blocking.h"
#include "runtime/channel.h"
#include "runtime/semaphore.h"
#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
using this_task::StopScope;

class StopTest : public OnWorkers {};
ON_WORKERS(StopTest);

TEST_P(StopTest, EndsTheWaitsOfATaskFromAnotherThread) {
    run([] {
        Channel<int> never;
        std::stop_source source;
        Semaphore waits(0);
        std::atomic<bool> ended = false;
        WaitGroup group;
        group.add();
        go([&] {
            const StopScope until(source.get_token());
            waits.release();
            EXPECT_EQ(never.receive(), std::nullopt);
            EXPECT_TRUE(this_task::cancelled());
            EXPECT_FALSE(waits.try_acquire_until(kNever)) << "this one, and all that follow";
            ended = true;
            group.done();
        });
        waits.acquire();
        EXPECT_FALSE(ended);
        std::jthread([&] { source.request_stop(); }).join();
        group.wait();
    });
}

TEST_P(StopTest, ATokenThatWasAskedBeforeEndsWaitsAtOnceAndTheScopeLeavesNoTrace) {
    run([] {
        Channel<int> channel(1);
        std::stop_source source;
        source.request_stop();
        {
            const StopScope until(source.get_token());
            EXPECT_TRUE(this_task::cancelled());
            EXPECT_EQ(channel.receive(), std::nullopt);
        }
        EXPECT_FALSE(this_task::cancelled());
        go([&] { channel.send(1); });
        EXPECT_EQ(channel.receive(), 1);
    });
}

TEST_P(StopTest, AnInnerScopeTakesBackItsOwnRequestOnly) {
    run([] {
        std::stop_source outer, inner;
        const StopScope until(outer.get_token());
        {
            const StopScope nested(inner.get_token());
            inner.request_stop();
            EXPECT_TRUE(this_task::cancelled());
        }
        EXPECT_FALSE(this_task::cancelled());
        {
            const StopScope nested(inner.get_token());
            outer.request_stop();
        }
        EXPECT_TRUE(this_task::cancelled());
    });
}

TEST_P(StopTest, WhatItsGroupCancelledStaysSo) {
    run([] {
        TaskGroup group;
        std::stop_source source;
        group.go([&] {
            {
                const StopScope until(source.get_token());
                source.request_stop();
                group.cancel();
            }
            EXPECT_TRUE(this_task::cancelled());
        });
        group.wait();
    });
}

// Its tasks are cancelled first, and may have left their scopes when its own token is asked.
TEST_P(StopTest, WhatWasHandedOutInAScopeIsAskedWhenTheGroupIsCancelled) {
    run([] {
        for (int round = 0; round < 100; ++round) {
            constexpr int kTasks = 8;
            std::stop_source source;
            std::vector<std::stop_token> handed_out(kTasks);
            WaitGroup wait_for_all;
            TaskGroup group;
            for (std::stop_token& token : handed_out) {
                wait_for_all.add();
                group.go([&] {
                    const StopScope until(source.get_token());
                    token = this_task::stop_token();
                    Channel<int> never;
                    wait_for_all.done();
                    EXPECT_EQ(never.receive(), std::nullopt);
                });
            }
            wait_for_all.wait();
            group.cancel();
            group.wait();
            for (const std::stop_token& token : handed_out) EXPECT_TRUE(token.stop_requested());
        }
    });
}

TEST_P(StopTest, AGroupThatIsWaitedForInAScopeIsCancelled) {
    run([] {
        Channel<int> never;
        std::stop_source source;
        const StopScope until(source.get_token());
        TaskGroup group;
        for (int i = 0; i < 3; ++i) group.go([&] { EXPECT_EQ(never.receive(), std::nullopt); });
        go([source]() mutable { source.request_stop(); });
        group.wait();
        EXPECT_TRUE(group.cancelled());
    });
}

TEST_P(StopTest, TheTokenOfATaskFollowsItsGroup) {
    run([] {
        EXPECT_FALSE(this_task::stop_token().stop_possible()) << "nobody cancels this one";
        TaskGroup group;
        std::atomic<int> called = 0;
        Semaphore ready(0);
        for (int i = 0; i < 3; ++i) {
            group.go([&] {
                const std::stop_token stop = this_task::stop_token();
                EXPECT_EQ(stop, this_task::stop_token()) << "one for all";
                const std::stop_callback callback(stop, [&] { ++called; });
                EXPECT_FALSE(stop.stop_requested());
                ready.release();
                this_task::sleep_for(1h);
                while (called != 3) this_task::yield();
                EXPECT_TRUE(stop.stop_requested());
            });
        }
        for (int i = 0; i < 3; ++i) ready.acquire();
        group.cancel();
        group.wait();
        EXPECT_EQ(called, 3);
        group.go([] { EXPECT_TRUE(this_task::stop_token().stop_requested()) << "started after cancel()"; });
        group.wait();
    });
}

TEST_P(StopTest, TheTokenInAScopeFollowsBothTheScopeAndWhatIsAroundIt) {
    run([] {
        std::stop_source source;
        {
            const StopScope until(source.get_token());
            EXPECT_EQ(this_task::stop_token(), source.get_token()) << "nothing is around it";
        }
        TaskGroup group;
        group.go([&] {
            const std::stop_token around = this_task::stop_token();
            {
                const StopScope until(std::stop_token{});
                EXPECT_EQ(this_task::stop_token(), around) << "nobody stops the scope";
            }
            {
                std::stop_source inner;
                const StopScope until(inner.get_token());
                const std::stop_token both = this_task::stop_token();
                EXPECT_FALSE(both.stop_requested());
                inner.request_stop();
                EXPECT_TRUE(both.stop_requested());
                EXPECT_FALSE(around.stop_requested());
            }
            const StopScope outer(source.get_token());
            const StopScope until(std::stop_source().get_token());
            const std::stop_token both = this_task::stop_token();
            EXPECT_FALSE(both.stop_requested());
            group.cancel();
            EXPECT_TRUE(both.stop_requested());
        });
        group.wait();
    });
}

TEST_P(StopTest, ABlockingCallHearsOfItByTheToken) {
    run([] {
        TaskGroup group;
        std::atomic<bool> begun = false;
        group.go([&] {
            blocking([&, stop = this_task::stop_token()] {
                begun = true;
                while (!stop.stop_requested()) std::this_thread::yield();
            });
        });
        while (!begun) this_task::yield();
        group.cancel();
        group.wait();
    });
}

// The request comes before the scope, in it, at its end or after it, from tasks and from a thread: it ends
// the scope's wait or comes too late, and never reaches the task that has the same stack afterwards.
TEST_P(StopTest, ARequestMeetsTheScopeAtAnyMoment) {
    run([] {
        for (int round = 0; round < 300; ++round) {
            const auto source = std::make_shared<std::stop_source>();
            Channel<int> one(1);
            TaskGroup group;
            for (int i = 0; i < 3; ++i) {
                group.go([&, source, i] {
                    {
                        const StopScope until(source->get_token());
                        if (i == 0) this_task::yield();
                        EXPECT_TRUE(one.receive() || this_task::cancelled());
                    }
                    EXPECT_FALSE(this_task::cancelled());
                });
            }
            for (int i = 0; i < round % 4; ++i) this_task::yield();
            one.send(1);
            if (round % 2 == 0) {
                go([source] { source->request_stop(); });
            } else {
                blocking([&] { source->request_stop(); });
            }
            group.go([] { EXPECT_FALSE(this_task::cancelled()); });
            group.wait();
        }
    });
}

}  // namespace
}  // namespace sluice::runtime
