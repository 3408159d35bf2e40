#include "runtime/select.h"

#include <array>
#include <atomic>
#include <chrono>
#include <memory>

#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class SelectTest : public OnWorkers {};
ON_WORKERS(SelectTest);
class SelectInVirtualTime : public InVirtualTime {};

TEST_P(SelectTest, DoesWhatCanBeDoneAtOnce) {
    run([] {
        Channel<int> empty, full(1), room(1);
        full.send(7);
        auto from_empty = on_receive(empty);
        auto from_full = on_receive(full);
        EXPECT_EQ(select(from_empty, from_full), 1);
        EXPECT_EQ(from_full.value, 7);

        int value = 8;
        auto to_room = on_send(room, value);
        EXPECT_EQ(select(from_empty, to_room), 1);
        EXPECT_TRUE(to_room.sent);
        EXPECT_EQ(room.receive(), 8);
    });
}

TEST_P(SelectTest, OtherwiseNeverParks) {
    run([] {
        Channel<int> empty;
        auto receive = on_receive(empty);
        EXPECT_EQ(select(receive, otherwise()), 1);
    });
}

TEST_P(SelectTest, WaitsForTheFirstToHappen) {
    run([] {
        Channel<int> a, b;
        go([&] { b.send(2); });
        auto from_a = on_receive(a);
        auto from_b = on_receive(b);
        EXPECT_EQ(select(from_a, from_b), 1);
        EXPECT_EQ(from_b.value, 2);
        EXPECT_EQ(from_a.value, std::nullopt);
        // Its place in the queue of a is given up: a send finds nobody.
        EXPECT_FALSE(a.try_send(3));
    });
}

TEST_P(SelectTest, AValueThatWasNotSentIsAsItWas) {
    run([] {
        Channel<std::unique_ptr<int>> nobody;
        Channel<int> wins;
        go([&] { wins.send(1); });
        auto value = std::make_unique<int>(5);
        auto send = on_send(nobody, value);
        auto receive = on_receive(wins);
        EXPECT_EQ(select(send, receive), 1);
        ASSERT_NE(value, nullptr);
        EXPECT_EQ(*value, 5);
        EXPECT_FALSE(send.sent);
    });
}

TEST_P(SelectTest, AClosedChannelIsReady) {
    run([] {
        Channel<int> closed, open;
        closed.close();
        auto receive = on_receive(closed);
        EXPECT_EQ(select(receive), 0);
        EXPECT_EQ(receive.value, std::nullopt);
        int value = 1;
        auto send = on_send(closed, value);
        EXPECT_EQ(select(send), 0);
        EXPECT_FALSE(send.sent);

        go([&] { open.close(); });
        auto waiting = on_receive(open);
        EXPECT_EQ(select(waiting), 0);
        EXPECT_EQ(waiting.value, std::nullopt);
    });
}

TEST_F(SelectInVirtualTime, GivesUpAtTheEarliestDeadline) {
    run([] {
        Channel<int> empty;
        auto receive = on_receive(empty);
        const Time start = now();
        EXPECT_EQ(select(after(2s), receive, at(start + 1s)), 2);
        EXPECT_EQ(now() - start, 1s);
    });
}

TEST_F(SelectInVirtualTime, ChoosesFairlyAmongTheReady) {
    run([] {
        constexpr int kRounds = 3'000;
        std::array<int, 3> chosen{};
        for (int i = 0; i < kRounds; ++i) {
            Channel<int> a(1), b(1), c(1);
            a.send(1);
            b.send(1);
            c.send(1);
            auto from_a = on_receive(a);
            auto from_b = on_receive(b);
            auto from_c = on_receive(c);
            ++chosen[static_cast<std::size_t>(select(from_a, from_b, from_c))];
        }
        for (const int count : chosen) EXPECT_GT(count, kRounds / 4);
    });
}

TEST_P(SelectTest, TheSameChannelMayTakePartTwice) {
    run([] {
        Channel<int> channel;
        go([&] { channel.send(1); });
        int value = 2;
        auto receive = on_receive(channel);
        auto send = on_send(channel, value);
        EXPECT_EQ(select(receive, send), 0);
        go([&] { EXPECT_EQ(channel.receive(), 2); });
        EXPECT_EQ(select(receive, send), 1);
        EXPECT_TRUE(send.sent);
    });
}

TEST_P(SelectTest, CancellationEndsIt) {
    run([] {
        Channel<int> never;
        TaskGroup group;
        std::atomic<int> result{99};
        group.go([&] {
            auto receive = on_receive(never);
            result.store(select(receive));
        });
        group.cancel();
        group.wait();
        EXPECT_EQ(result.load(), kSelectCancelled);
    });
}

// Selecting tasks on both ends of several channels: every value arrives once, nothing hangs.
TEST_P(SelectTest, ManySelectsOnBothEndsLoseAndInventNothing) {
    run([] {
        constexpr int kEach = 300;
        constexpr int kTasks = 4;
        Channel<int> a, b(3);
        std::atomic<int> sent{0};
        std::atomic<int> received{0};
        WaitGroup senders, receivers;
        for (int t = 0; t < kTasks; ++t) {
            senders.add();
            receivers.add();
            go([&] {
                for (int i = 1; i <= kEach; ++i) {
                    int value = i;
                    auto to_a = on_send(a, value);
                    auto to_b = on_send(b, value);
                    EXPECT_GE(select(to_a, to_b), 0);
                    EXPECT_NE(to_a.sent, to_b.sent);
                    sent.fetch_add(i);
                }
                senders.done();
            });
            go([&] {
                for (bool open = true; open;) {
                    auto from_a = on_receive(a);
                    auto from_b = on_receive(b);
                    const int which = select(from_b, from_a);
                    const auto value = which == 0 ? from_b.value : from_a.value;
                    open = value.has_value();
                    received.fetch_add(value.value_or(0));
                }
                receivers.done();
            });
        }
        senders.wait();
        while (received.load() != sent.load()) this_task::yield();
        a.close();
        b.close();
        receivers.wait();
        EXPECT_EQ(received.load(), kTasks * kEach * (kEach + 1) / 2);
    });
}

// The winner may go on, and destroy the channels, while others still unlock them.
TEST_P(SelectTest, ChannelsMayBeDestroyedAsSoonAsItReturns) {
    run([] {
        for (int round = 0; round < 500; ++round) {
            auto a = std::make_unique<Channel<int>>();
            auto b = std::make_unique<Channel<int>>();
            go([&a = *a] { a.send(1); });
            auto from_a = on_receive(*a);
            auto from_b = on_receive(*b);
            EXPECT_EQ(select(from_b, from_a), 1);
        }
    });
}

TEST_F(SelectInVirtualTime, AfterEverIsNever) {
    run([] {
        Channel<int> channel;
        go([&] {
            this_task::sleep_for(300ms);
            channel.send(1);
        });
        auto received = on_receive(channel);
        EXPECT_EQ(select(received, after(Duration::max())), 0);
    });
}

}  // namespace
}  // namespace sluice::runtime
