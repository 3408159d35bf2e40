// The channel, in every order in which the steps of those who use it can happen; and once more with
// read-modify-writes in two parts, which must be found.

#include "runtime/channel.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/interleave/checked_host.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

template <class Host>
struct Talk {
    explicit Talk(std::size_t capacity) : channel(capacity) { Host::tasks = &tasks; }

    typename Host::Tasks tasks;
    Channel<int, Host> channel;
    std::vector<int> sent;
    std::vector<int> received;

    void send(int value) {
        if (channel.send(value)) sent.push_back(value);
    }
    void receive() {
        if (const auto value = channel.receive()) received.push_back(*value);
    }
    // Whatever was sent was received, once.
    std::string check() {
        for (const CheckedTask& task : tasks) {
            if (task.unparked_twice) return "a task was unparked twice";
        }
        while (const auto value = channel.try_receive()) received.push_back(*value);
        std::ranges::sort(sent);
        std::ranges::sort(received);
        return sent == received ? "" : "what was sent is not what was received";
    }
};

template <class Host>
Exploration two_senders_and_a_receiver(std::size_t capacity) {
    return Explorer({.preemptions = 2, .delays = 1}).explore([capacity] {
        auto talk = std::make_shared<Talk<Host>>(capacity);
        return Program{{[talk] { talk->send(1); }, [talk] { talk->send(2); },
                        [talk] {
                            talk->receive();
                            talk->receive();
                        }},
                       [talk]() -> std::string {
                           if (talk->received.size() != 2) return "a value was not received";
                           return talk->check();
                       }};
    });
}

TEST(InterleaveChannel, EveryValueIsReceivedOnce) {
    expect_correct("channel: from hand to hand", two_senders_and_a_receiver<CheckedHost<>>(0));
    expect_correct("channel: room for one", two_senders_and_a_receiver<CheckedHost<>>(1));
}

TEST(InterleaveChannel, ALockTakenInTwoStepsIsFound) {
    const Exploration found = two_senders_and_a_receiver<CheckedHost<Without::atomicity>>(0);
    EXPECT_NE(found.bug, "") << "in " << found.schedules << " schedules";
}

TEST(InterleaveChannel, ASendThatMeetsCloseIsReceivedOrRefused) {
    expect_correct("channel: send, receive, close", Explorer({.preemptions = 3, .delays = 1}).explore([] {
        auto talk = std::make_shared<Talk<CheckedHost<>>>(0);
        return Program{
            {[talk] { talk->send(1); }, [talk] { talk->receive(); }, [talk] { talk->channel.close(); }},
            [talk] { return talk->check(); }};
    }));
}

// A receiver that is cancelled just when a value comes has it, or leaves it to the sender, who then goes on
// waiting: until the channel is closed.
TEST(InterleaveChannel, ACancelledReceiveLosesNoValue) {
    expect_correct("channel: cancelled receive", Explorer({.preemptions = 3, .delays = 1}).explore([] {
        auto talk = std::make_shared<Talk<CheckedHost<>>>(0);
        talk->tasks[1].cancellable = true;
        return Program{{[talk] { talk->send(1); }, [talk] { talk->receive(); },
                        [talk] {
                            CheckedHost<>::cancel(talk->tasks[1]);
                            talk->channel.close();
                        }},
                       [talk] { return talk->check(); }};
    }));
}

}  // namespace
}  // namespace sluice::runtime::interleave
