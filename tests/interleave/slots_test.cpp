// The slots of the netpoller: what epoll reports, who waits for it or dozes, deadlines, and the next use of a
// slot, in every order in which their steps can happen; and the proof that this finds bugs.

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/epoll.h>

#include "runtime/poll_slot_steps.h"
#include "runtime/timer_queue.h"
#include "tests/interleave/checked_host.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

using namespace std::chrono_literals;

constexpr Time kDue = Time{} + 1ms;

struct NoSleeper {
    void interrupt() {}
};

// Poller: a netpoller without its epoll.
template <class Host>
class Poller {
  public:
    using Timers = BasicTimerQueue<typename Host::Atomics, typename Host::Lock, NoSleeper>;

    Poller() { timers_.set_poller(sleeper_); }

    Timers& timers() { return timers_; }
    void deliver(Woken& woken) {
        while (Task* const task = woken.tasks.pop()) Host::unpark(task);
        while (Dormant* const dormant = woken.dormants) {
            woken.dormants = dormant->next;  // before it wakes, which may end its life
            dormant->wake(*dormant, dormant->why);
        }
    }
    void free_slot(BasicPollSlot<Host>&) {}

  private:
    NoSleeper sleeper_;
    Timers timers_{Time{}};
};

template <Without kWithout>
struct SlotHost : CheckedHost<kWithout> {
    using Poller = interleave::Poller<SlotHost>;
};

template <class Host>
struct Slot : BasicPollSlot<Host> {
    explicit Slot(Poller<Host>& poller) { this->set_poller(poller); }

    using BasicPollSlot<Host>::begin;
    using BasicPollSlot<Host>::report;
    using BasicPollSlot<Host>::awaited;
};

// One registered descriptor.
template <Without kWithout = Without::nothing>
struct Descriptor {
    using Host = SlotHost<kWithout>;

    typename Host::Tasks tasks;
    Poller<Host> poller;
    Slot<Host> slot{poller};
    std::uint32_t generation = slot.begin(0);
    typename Host::Atomics::template Atomic<bool> over{false};  // nobody waits any more

    Descriptor() { Host::tasks = &tasks; }

    Outcome wait(Half half, Time deadline = kNever) {
        const Outcome how = slot.wait(half, deadline, WaitReason::net_read);
        over.exchange(true);
        return how;
    }
    void report(std::uint32_t events) { report(events, generation); }
    void report(std::uint32_t events, std::uint32_t tag) {
        Woken woken;
        slot.report(events, tag, woken);
        poller.deliver(woken);
    }
    // As a worker that sleeps until the first timer.
    void fire() {
        while (poller.timers().next() == kNever && !over.load()) Host::Atomics::pause();
        Woken woken;
        poller.timers().fire_due(kDue, woken);
        poller.deliver(woken);
    }
    std::string check() {
        for (const CheckedTask& task : tasks) {
            if (task.unparked_twice) return "a task was unparked twice";
        }
        return slot.awaited() ? "a wait that is over is still in the slot" : "";
    }
};

// --- A task that waits

template <Without kWithout>
Exploration event_and_deadline() {
    return Explorer({.preemptions = 2, .delays = 1}).explore([] {
        auto it = std::make_shared<Descriptor<kWithout>>();
        return Program{
            {[it] { it->wait(Half::read, kDue); }, [it] { it->report(EPOLLIN); }, [it] { it->fire(); }},
            [it]() -> std::string {
                return it->slot.ready(Half::read) ? it->check() : "an event was forgotten";
            }};
    });
}

TEST(InterleaveSlot, AnEventAndADeadlineEndAWaitOnce) {
    expect_correct("slot: event and deadline", event_and_deadline<Without::nothing>());
}

TEST(InterleaveSlot, ALockTakenInTwoStepsIsFound) {
    const Exploration found = event_and_deadline<Without::atomicity>();
    EXPECT_NE(found.bug, "") << "in " << found.schedules << " schedules";
}

TEST(InterleaveSlot, ACancelledTaskLeavesTheSlot) {
    expect_correct("slot: event and cancelled task", Explorer({.preemptions = 3, .delays = 1}).explore([] {
        auto it = std::make_shared<Descriptor<>>();
        it->tasks[0].cancellable = true;
        return Program{{[it] { it->wait(Half::read); }, [it] { it->report(EPOLLIN); },
                        [it] { CheckedHost<>::cancel(it->tasks[0]); }},
                       [it] { return it->check(); }};
    }));
}

TEST(InterleaveSlot, CancelEndsBothHalvesForGood) {
    expect_correct("slot: cancel, both halves", Explorer({.preemptions = 2, .delays = 0}).explore([] {
        auto it = std::make_shared<Descriptor<>>();
        auto cancelled = std::make_shared<int>(0);
        const auto wait = [it, cancelled](Half half) {
            if (it->wait(half) == Outcome::cancelled) ++*cancelled;
        };
        return Program{{[wait] {
                            wait(Half::read);
                            wait(Half::read);
                        },
                        [wait] { wait(Half::write); }, [it] { it->slot.cancel(it->generation); }},
                       [it, cancelled]() -> std::string {
                           return *cancelled == 3 ? it->check() : "a wait was not cancelled";
                       }};
    }));
}

// --- A stream that reads in the three steps of netpoller.h, woken by an event for bytes that an earlier read
// has taken, while its peer sends another.

enum class Read { as_told, cleared_afterwards, without_fence };

Exploration read_a_byte(Read how) {
    struct Stream : Descriptor<> {
        CheckedAtomic<int> bytes{0};

        Stream() { report(EPOLLIN); }

        void send() {
            bytes.fetch_add(1);  // recv() and what puts bytes into a socket take its lock: full fences
            report(EPOLLIN);
        }
        int receive(Read how) {
            if (how == Read::without_fence && bytes.load() == 0) return 0;
            return bytes.exchange(0);
        }
        void read(Read how) {
            for (int received = 0; received == 0;) {
                wait(Half::read);
                if (how != Read::cleared_afterwards) slot.clear(Half::read);
                received = receive(how);
                if (how == Read::cleared_afterwards) slot.clear(Half::read);
            }
        }
    };
    return Explorer({.preemptions = 4, .delays = 2}).explore([how] {
        auto it = std::make_shared<Stream>();
        return Program{{[it, how] { it->read(how); }, [it] { it->send(); }}, [it] { return it->check(); }};
    });
}

TEST(InterleaveSlot, NoEdgeIsLostBetweenTwoReads) {
    expect_correct("slot: read and send", read_a_byte(Read::as_told));
}

TEST(InterleaveSlot, AnEdgeClearedAfterTheReadIsFound) {
    const Exploration found = read_a_byte(Read::cleared_afterwards);
    EXPECT_NE(found.bug.find("all threads wait"), std::string::npos) << "in " << found.schedules;
}

TEST(InterleaveSlot, WithoutTheFenceOfTheReadALostEdgeIsFound) {
    const Exploration found = read_a_byte(Read::without_fence);
    EXPECT_NE(found.bug.find("all threads wait"), std::string::npos) << "in " << found.schedules;
    EXPECT_NE(found.bug.find("0 held"), std::string::npos)
        << "it takes a clear() that is late: " << found.bug;
}

// --- The next use of a slot, and what comes late for the one before. `current`: a mutant, as if epoll's tag
// knew nothing of generations.

TEST(InterleaveSlot, CloseEndsTheWaitsOfOthers) {
    expect_correct("slot: wait and close", Explorer({.preemptions = 3, .delays = 0}).explore([] {
        auto it = std::make_shared<Descriptor<>>();
        return Program{{[it] { it->wait(Half::write); },
                        [it] {
                            it->slot.close();
                            it->slot.begin(1);
                            it->report(EPOLLOUT,
                                       it->slot.generation());  // who came too late waits in the next use
                        }},
                       [it] { return it->check(); }};
    }));
}

Exploration close_while_an_event_comes(bool current) {
    return Explorer({.preemptions = 3, .delays = 1}).explore([current] {
        auto it = std::make_shared<Descriptor<>>();
        return Program{{[it] {
                            it->slot.close();
                            it->slot.begin(1);
                        },
                        [it, current] {
                            it->report(EPOLLIN | EPOLLOUT, current ? it->slot.generation() : it->generation);
                        }},
                       [it]() -> std::string {
                           const bool stale = it->slot.ready(Half::read) || it->slot.ready(Half::write);
                           return stale ? "an event of the use before" : it->check();
                       }};
    });
}

TEST(InterleaveSlot, ALateEventIsNotTheNextUses) {
    expect_correct("slot: late event and next use", close_while_an_event_comes(false));
}

TEST(InterleaveSlot, ATagWithoutAGenerationIsFound) {
    const Exploration found = close_while_an_event_comes(true);
    EXPECT_NE(found.bug.find("an event of the use before"), std::string::npos) << found.bug;
}

// A connection that dozes, and whose slot goes to another that dozes as soon as it is awake.
struct Connections : Descriptor<> {
    struct Connection : Dormant {
        explicit Connection(Connections& all) : Dormant(&woken), connections(all) {}

        static void woken(Dormant& dormant, Wake) {
            auto& self = static_cast<Connection&>(dormant);
            if (++self.times == 1 && &self == &self.connections.first) self.connections.replace();
        }

        Connections& connections;
        int times = 0;
    };

    Connection first{*this};
    Connection second{*this};
    bool dozed = false;

    void doze() {
        dozed = slot.doze(first, kDue);
        if (!dozed) replace();
    }
    void replace() {
        slot.close();
        slot.begin(1);
        if (!slot.doze(second, kNever)) second.times = -1;
        over.exchange(true);
    }
    std::string check() {
        if (first.times != (dozed ? 1 : 0)) return "woken " + std::to_string(first.times) + " times";
        if (second.times != 0) return "the next use of the slot was woken";
        return Descriptor::slot.awaited() ? "" : "the next use of the slot was forgotten";
    }
};

Exploration doze_and(void (*third)(Connections&)) {
    return Explorer({.preemptions = 3, .delays = 0}).explore([third] {
        auto all = std::make_shared<Connections>();
        return Program{
            {[all] { all->doze(); }, [all] { all->report(EPOLLIN); }, [all, third] { third(*all); }},
            [all] { return all->check(); }};
    });
}

TEST(InterleaveSlot, WhatDozesIsWokenOnceAndItsSuccessorNot) {
    expect_correct("slot: doze, event, deadline, next use", doze_and([](Connections& all) { all.fire(); }));
    expect_correct("slot: doze, event, rouse, next use",
                   doze_and([](Connections& all) { all.slot.rouse(all.generation); }));
}

TEST(InterleaveSlot, ARouseWithoutAGenerationIsFound) {
    const Exploration found = doze_and([](Connections& all) { all.slot.rouse(all.slot.generation()); });
    EXPECT_NE(found.bug.find("the next use of the slot was woken"), std::string::npos) << found.bug;
}

}  // namespace
}  // namespace sluice::runtime::interleave
