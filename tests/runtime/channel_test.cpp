#include "runtime/channel.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class ChannelTest : public OnWorkers {};
ON_WORKERS(ChannelTest);
class ChannelInVirtualTime : public InVirtualTime {};

TEST_P(ChannelTest, UnbufferedHandsEveryValueOverInOrder) {
    run([] {
        Channel<int> channel;
        go([&] {
            for (int i = 0; i < 1000; ++i) EXPECT_TRUE(channel.send(i));
            channel.close();
        });
        int expected = 0;
        for (int value : channel) EXPECT_EQ(value, expected++);
        EXPECT_EQ(expected, 1000);
    });
}

TEST_P(ChannelTest, BufferedKeepsOrder) {
    run([] {
        Channel<int> channel(7);
        go([&] {
            for (int i = 0; i < 1000; ++i) EXPECT_TRUE(channel.send(i));
            channel.close();
        });
        int expected = 0;
        for (int value : channel) EXPECT_EQ(value, expected++);
        EXPECT_EQ(expected, 1000);
    });
}

TEST_P(ChannelTest, ManySendersAndReceiversLoseAndInventNothing) {
    for (std::size_t capacity : {0U, 1U, 5U}) {
        run([capacity] {
            Channel<int> channel(capacity);
            std::atomic<long> sum = 0;
            std::atomic<int> count = 0;
            WaitGroup senders;
            for (int task = 0; task < 8; ++task) {
                senders.add();
                go([&] {
                    for (int i = 1; i <= 200; ++i) EXPECT_TRUE(channel.send(i));
                    senders.done();
                });
            }
            WaitGroup receivers;
            for (int task = 0; task < 5; ++task) {
                receivers.add();
                go([&] {
                    for (int value : channel) {
                        sum += value;
                        ++count;
                    }
                    receivers.done();
                });
            }
            senders.wait();
            channel.close();
            receivers.wait();
            EXPECT_EQ(count, 8 * 200);
            EXPECT_EQ(sum, 8 * 200 * 201 / 2);
        });
    }
}

TEST_P(ChannelTest, CarriesValuesThatCannotBeCopied) {
    run([] {
        Channel<std::unique_ptr<int>> unbuffered;
        Channel<std::unique_ptr<int>> buffered(1);
        go([&] {
            EXPECT_TRUE(unbuffered.send(std::make_unique<int>(1)));
            EXPECT_TRUE(buffered.send(std::make_unique<int>(2)));
        });
        EXPECT_EQ(**unbuffered.receive(), 1);
        EXPECT_EQ(**buffered.receive(), 2);
    });
}

TEST_P(ChannelTest, CloseWakesReceiversAndSenders) {
    run([] {
        Channel<int> empty;
        Channel<int> full(1);
        EXPECT_TRUE(full.send(1));
        WaitGroup group;
        for (int task = 0; task < 3; ++task) {
            group.add(2);
            go([&] {
                EXPECT_EQ(empty.receive(), std::nullopt);
                group.done();
            });
            go([&] {
                EXPECT_FALSE(full.send(2));
                group.done();
            });
        }
        this_task::yield();
        empty.close();
        full.close();
        group.wait();
        EXPECT_FALSE(empty.send(3));
    });
}

TEST_P(ChannelTest, WhatWasBufferedBeforeCloseIsStillReceived) {
    run([] {
        Channel<int> channel(3);
        channel.send(1);
        channel.send(2);
        channel.close();
        EXPECT_EQ(channel.receive(), 1);
        EXPECT_EQ(channel.receive(), 2);
        EXPECT_EQ(channel.receive(), std::nullopt);
    });
}

TEST_P(ChannelTest, TryOperationsNeverPark) {
    run([] {
        Channel<std::unique_ptr<int>> channel(1);
        EXPECT_EQ(channel.try_receive(), std::nullopt);
        auto value = std::make_unique<int>(1);
        EXPECT_TRUE(channel.try_send(value));
        EXPECT_EQ(value, nullptr);
        value = std::make_unique<int>(2);
        EXPECT_FALSE(channel.try_send(value));
        EXPECT_NE(value, nullptr) << "a send that failed took the value";
        EXPECT_EQ(**channel.try_receive(), 1);

        Channel<std::unique_ptr<int>> unbuffered;
        EXPECT_FALSE(unbuffered.try_send(value));
        EXPECT_EQ(unbuffered.try_receive(), std::nullopt);
    });
}

TEST_F(ChannelInVirtualTime, TryOperationsMeetTasksThatWait) {
    run([] {
        Channel<int> channel;
        go([&] { EXPECT_EQ(channel.receive(), 7); });
        this_task::sleep_for(1ms);
        int value = 7;
        EXPECT_TRUE(channel.try_send(value));
        go([&] { EXPECT_TRUE(channel.send(8)); });
        this_task::sleep_for(1ms);
        EXPECT_EQ(channel.try_receive(), 8);
    });
}

TEST_F(ChannelInVirtualTime, WaitingReceiversAreServedInTheOrderTheyCame) {
    int served = 0;
    run([&] {
        Channel<int> channel;
        for (int task = 0; task < 4; ++task) {
            go([&, task] {
                this_task::sleep_for(task * 1ms);
                EXPECT_EQ(channel.receive(), task);
                ++served;
            });
        }
        this_task::sleep_for(10ms);
        for (int i = 0; i < 4; ++i) channel.send(i);
    });
    EXPECT_EQ(served, 4);
}

TEST_F(ChannelInVirtualTime, SenderThatWaitsRefillsTheBufferInOrder) {
    std::vector<int> got;
    run([&] {
        Channel<int> channel(2);
        go([&] {
            for (int i = 0; i < 6; ++i) channel.send(i);
            channel.close();
        });
        this_task::sleep_for(1ms);  // 0 and 1 are buffered, the sender waits with 2
        for (int value : channel) got.push_back(value);
    });
    EXPECT_EQ(got, (std::vector{0, 1, 2, 3, 4, 5}));
}

TEST_P(ChannelTest, DestroysWhatNobodyReceived) {
    auto value = std::make_shared<int>(1);
    run([&value] {
        Channel<std::shared_ptr<int>> channel(4);
        for (int i = 0; i < 4; ++i) channel.send(value);
        channel.receive();
        channel.send(value);
    });
    EXPECT_EQ(value.use_count(), 1);
}

// A receiver that got the last value may destroy the channel while its sender is still on its way out.
TEST_P(ChannelTest, MayBeDestroyedAsSoonAsTheLastValueIsReceived) {
    run([] {
        for (int round = 0; round < 1000; ++round) {
            auto channel = std::make_unique<Channel<int>>();
            go([&channel = *channel] { channel.send(1); });
            EXPECT_EQ(channel->receive(), 1);
        }
    });
}

// skynet: a tree of tasks that each add up what their ten children report.
void skynet(Channel<long>& out, long number, long size) {
    if (size == 1) {
        out.send(number);
        return;
    }
    Channel<long> in;
    for (long i = 0; i < 10; ++i) go(skynet, std::ref(in), number + i * (size / 10), size / 10);
    long sum = 0;
    for (int i = 0; i < 10; ++i) sum += *in.receive();
    out.send(sum);
}

TEST_P(ChannelTest, SkynetAddsUp) {
    run([] {
        Channel<long> out;
        go(skynet, std::ref(out), 0L, 10'000L);
        EXPECT_EQ(out.receive(), 9'999L * 10'000 / 2);
    });
}

}  // namespace
}  // namespace sluice::runtime
