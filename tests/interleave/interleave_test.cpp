// The structures that threads share without a lock, in every order in which their steps can happen, and the
// proof that this finds bugs: each protocol once more with one of its fences left out.

#include <array>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/idle_set.h"
#include "runtime/next_slot.h"
#include "runtime/run_queue.h"
#include "runtime/task.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

// --- RunQueue: an owner that pushes and pops, and a thief, with a ring of four.

struct Ring {
    using Queue = RunQueue<int, 4, CheckedAtomics<>>;

    std::array<int, 8> items{};
    std::array<int, 8> taken{};  // how often each was taken out
    int pushed = 0;
    Queue queue;
    Queue stolen;

    void push() {
        if (queue.push(&items[static_cast<std::size_t>(pushed)])) ++pushed;
    }
    void take(int* item) {
        if (item != nullptr) ++taken[static_cast<std::size_t>(item - items.data())];
    }
    void steal() {
        take(queue.steal_half(stolen));
        while (int* item = stolen.pop()) take(item);
    }
    std::string check() {
        while (int* item = queue.pop()) take(item);
        for (int i = 0; i < 8; ++i) {
            const int times = taken[static_cast<std::size_t>(i)];
            if (times != (i < pushed ? 1 : 0))
                return "item " + std::to_string(i) + " was taken " + std::to_string(times) + " times";
        }
        return "";
    }
};

TEST(InterleaveRunQueue, EveryItemIsTakenOnceBetweenOwnerAndThief) {
    expect_correct("ring: owner and thief", Explorer({.preemptions = 2}).explore([] {
        auto ring = std::make_shared<Ring>();
        ring->push();
        ring->push();
        return Program{{[ring] {
                            ring->push();
                            ring->take(ring->queue.pop());
                            ring->push();
                            ring->take(ring->queue.pop());
                        },
                        [ring] { ring->steal(); }},
                       [ring] { return ring->check(); }};
    }));
}

TEST(InterleaveRunQueue, EveryItemIsTakenOnceBetweenTwoThieves) {
    expect_correct("ring: two thieves", Explorer({.preemptions = 2}).explore([] {
        auto ring = std::make_shared<Ring>();
        auto other = std::make_shared<Ring::Queue>();
        ring->push();
        ring->push();
        ring->push();
        return Program{{[ring] { ring->take(ring->queue.pop()); }, [ring] { ring->steal(); },
                        [ring, other] {
                            ring->take(ring->queue.steal_half(*other));
                            while (int* item = other->pop()) ring->take(item);
                        }},
                       [ring] { return ring->check(); }};
    }));
}

// pop_unshared() is for a worker that is alone: beside a thief it takes what the thief took.
TEST(InterleaveRunQueue, AnUnsharedPopBesideAThiefIsFound) {
    const Exploration found = Explorer().explore([] {
        auto ring = std::make_shared<Ring>();
        ring->push();
        ring->push();
        return Program{{[ring] { ring->take(ring->queue.pop_unshared()); }, [ring] { ring->steal(); }},
                       [ring] { return ring->check(); }};
    });
    EXPECT_NE(found.bug.find("was taken 2 times"), std::string::npos) << found.bug;
}

// --- IdleSet: whoever publishes work and a worker that falls asleep do not miss each other.

template <class Atomics>
struct Sleep {
    BasicIdleSet<Atomics> idle;
    typename Atomics::template Atomic<bool> work{false};
    bool taken = false;
    bool asleep = false;
    bool woken = false;

    void publish() {
        work.store(true, std::memory_order_release);
        if (idle.to_wake(true).has_value()) woken = true;
    }
    void fall_asleep() {
        idle.add(0);
        if (work.load(std::memory_order_acquire)) {
            taken = true;
            idle.remove(0);
        } else {
            asleep = true;
        }
    }
    std::string check() const { return asleep && !woken ? "there is work, and its worker sleeps" : ""; }
};

template <class Atomics>
Exploration publish_while_falling_asleep() {
    return Explorer({.preemptions = 4}).explore([] {
        auto sleep = std::make_shared<Sleep<Atomics>>();
        return Program{{[sleep] { sleep->publish(); }, [sleep] { sleep->fall_asleep(); }},
                       [sleep] { return sleep->check(); }};
    });
}

TEST(InterleaveIdleSet, NoWakeupIsLost) {
    expect_correct("idle set: publish and sleep", publish_while_falling_asleep<CheckedAtomics<>>());
}

TEST(InterleaveIdleSet, WithoutTheFenceOfThePublisherALostWakeupIsFound) {
    const Exploration found = publish_while_falling_asleep<CheckedAtomics<Without::full_fence>>();
    EXPECT_NE(found.bug.find("its worker sleeps"), std::string::npos)
        << "in " << found.schedules << " schedules";
    EXPECT_NE(found.bug.find("0 held"), std::string::npos) << "it takes a store that is late: " << found.bug;
}

// A searcher that gives up announces itself idle before it stops to count as searching, and looks again.
TEST(InterleaveIdleSet, ASearcherThatGivesUpLeavesNoWorkBehind) {
    expect_correct("idle set: a searcher gives up", Explorer({.preemptions = 4}).explore([] {
        auto sleep = std::make_shared<Sleep<CheckedAtomics<>>>();
        sleep->idle.try_search(2);
        return Program{{[sleep] { sleep->publish(); },
                        [sleep] {
                            sleep->idle.add(0);
                            sleep->idle.end_search();
                            if (sleep->work.load(std::memory_order_acquire)) {
                                sleep->taken = true;
                                sleep->idle.remove(0);
                            } else {
                                sleep->asleep = true;
                            }
                        }},
                       [sleep] { return sleep->check(); }};
    }));
}

// --- WaitWord: a wait ends once, whoever comes.

using CheckedWaitWord = BasicWaitWord<CheckedAtomics<>>;

struct Wait {
    CheckedWaitWord word;
    Ticket ticket = word.open();
    CheckedAtomic<bool> cancel_requested{false};
    int unparks = 0;

    void wake(Outcome how) {
        if (word.claim(ticket, how)) ++unparks;
    }
    // As Worker::after_park_until() and cancel() do it.
    void commit() {
        if (!word.expose(ticket)) return;
        if (cancel_requested.load() && word.claim(ticket, Outcome::cancelled)) ++unparks;
    }
    void cancel(std::memory_order order) {
        cancel_requested.store(true, order);
        if (word.cancel_exposed()) ++unparks;
    }
    std::string check() const { return unparks == 1 ? "" : "unparked " + std::to_string(unparks) + " times"; }
};

TEST(InterleaveWaitWord, WakerDeadlineAndCancellerUnparkOnce) {
    expect_correct("wait word: waker, deadline, canceller", Explorer({.preemptions = 3}).explore([] {
        auto wait = std::make_shared<Wait>();
        return Program{
            {[wait] { wait->commit(); }, [wait] { wait->wake(Outcome::woken); },
             [wait] { wait->wake(Outcome::timed_out); }, [wait] { wait->cancel(std::memory_order_seq_cst); }},
            [wait] { return wait->check(); }};
    }));
}

Exploration cancel_while_parking(std::memory_order order) {
    return Explorer({.preemptions = 4}).explore([order] {
        auto wait = std::make_shared<Wait>();
        return Program{{[wait] { wait->commit(); }, [wait, order] { wait->cancel(order); }},
                       [wait] { return wait->check(); }};
    });
}

TEST(InterleaveWaitWord, ACancellationIsNotMissed) {
    expect_correct("wait word: park and cancel", cancel_while_parking(std::memory_order_seq_cst));
}

TEST(InterleaveWaitWord, WithARelaxedRequestAMissedCancellationIsFound) {
    const Exploration found = cancel_while_parking(std::memory_order_relaxed);
    EXPECT_NE(found.bug.find("unparked 0 times"), std::string::npos)
        << "in " << found.schedules << " schedules";
}

// --- NextSlot: what the owner puts is run once, by itself or by the thief.

template <class Atomics>
Exploration steal_from_the_owner() {
    struct Shared {
        NextSlot<int, Atomics> slot;
        std::array<int, 2> items{};
        std::array<int, 2> taken{};

        void take(int* item) {
            if (item != nullptr) ++taken[static_cast<std::size_t>(item - items.data())];
        }
    };
    return Explorer({.preemptions = 3}).explore([] {
        auto shared = std::make_shared<Shared>();
        shared->slot.put(&shared->items[0]);
        return Program{{[shared] {
                            shared->take(shared->slot.take());
                            shared->take(shared->slot.put(&shared->items[1]));
                        },
                        [shared] { shared->take(shared->slot.steal()); }},
                       [shared]() -> std::string {
                           shared->take(shared->slot.take());
                           const bool once = shared->taken[0] == 1 && shared->taken[1] == 1;
                           return once ? "" : "an item was lost, or taken twice";
                       }};
    });
}

TEST(InterleaveNextSlot, WhatIsPutIsTakenOnce) {
    expect_correct("next-slot: owner and thief", steal_from_the_owner<CheckedAtomics<>>());
}

TEST(InterleaveNextSlot, WithoutTheBarrierOfTheThiefABugIsFound) {
    const Exploration found = steal_from_the_owner<CheckedAtomics<Without::heavy_barrier>>();
    EXPECT_NE(found.bug.find("lost, or taken twice"), std::string::npos)
        << "in " << found.schedules << " schedules";
}

}  // namespace
}  // namespace sluice::runtime::interleave
