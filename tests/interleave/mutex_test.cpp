// The mutex, in every order in which the steps of those who use it can happen; and once more with
// read-modify-writes in two parts, and with one step left out where a waiter gives up: these must be found.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/mutex_slow.h"
#include "tests/interleave/checked_host.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

// Hosts of mutants: of each mutex one function is replaced below.
struct LooksNotBack : CheckedHost<> {};
struct WakesUnasked : CheckedHost<> {};
// Hands the lock over to nobody, for so many losses nobody has here.
struct HandsNotOver : CheckedHost<> {
    static constexpr unsigned kBargesMax = 1000;
};

}  // namespace
}  // namespace sluice::runtime::interleave

namespace sluice::runtime {

// Who gives up lets go of the list without a look whether the lock was released meanwhile.
template <>
bool BasicMutex<interleave::LooksNotBack>::withdraw(Wait& wait) {
    while ((word_.fetch_or(kQueue) & kQueue) != 0) interleave::LooksNotBack::Atomics::pause();
    waiters_.remove(wait.waiter);
    word_.fetch_and(waiters_.empty() ? ~(kQueue | kWaiting | kHandOver) : ~kQueue);
    return false;
}

// unlock() takes the first of the list without asking whether that one has given up.
template <>
void BasicMutex<interleave::WakesUnasked>::wake_first(std::uint32_t word) {
    Waiter* const first = waiters_.pop_front();
    if (waiters_.empty()) word &= ~kWaiting;
    const bool hands_over = (word & kHandOver) != 0;
    if (hands_over) static_cast<Wait*>(first->payload)->owner = true;
    first->task->wait.claim(first->ticket, Outcome::woken);
    Task* const task = first->task;
    word_.store(hands_over ? word & ~kHandOver : (word & ~kLocked) | kWoken);
    interleave::WakesUnasked::unpark(task);
}

}  // namespace sluice::runtime

namespace sluice::runtime::interleave {
namespace {

template <class Host>
struct Room {
    Room() { Host::tasks = &tasks; }

    typename Host::Tasks tasks;
    BasicMutex<Host> mutex;
    typename Host::Atomics::template Atomic<int> inside{0};
    bool crowded = false;
    bool starved = false;
    int visits = 0;
    int given_up = 0;

    void visit() {
        const unsigned before = Host::waiting_task()->parks;
        mutex.lock();
        // Once to begin with, and once for each time that somebody was faster.
        starved |= Host::waiting_task()->parks - before > 1 + CheckedHost<>::kBargesMax;
        stay();
    }
    void visit_unless_cancelled() {
        if (!mutex.try_lock_until(kNever)) {
            ++given_up;
            return;
        }
        stay();
    }
    void stay() {
        crowded |= inside.fetch_add(1) != 0;
        ++visits;
        inside.fetch_sub(1);
        mutex.unlock();
    }
    std::string check(int expected) {
        if (crowded) return "two at a time";
        if (starved) return "others were faster too often";
        if (visits + given_up != expected) return "a visit was lost";
        for (const CheckedTask& task : tasks) {
            if (task.unparked_twice) return "a task was unparked twice";
        }
        return mutex.try_lock() ? "" : "left locked";
    }
};

template <class Host>
Exploration visits(unsigned preemptions) {
    return Explorer({.preemptions = preemptions, .delays = 1}).explore([] {
        auto room = std::make_shared<Room<Host>>();
        return Program{{[room] {
                            room->visit();
                            room->visit();
                        },
                        [room] { room->visit(); }, [room] { room->visit(); }},
                       [room] { return room->check(4); }};
    });
}

TEST(InterleaveMutex, LetsInOneAtATimeAndLeavesNobodyAsleep) {
    expect_correct("mutex: three tasks", visits<CheckedHost<>>(2));
}

TEST(InterleaveMutex, ACompareAndSwapInTwoStepsIsFound) {
    const Exploration found = visits<CheckedHost<Without::atomicity>>(2);
    EXPECT_NE(found.bug, "") << "in " << found.schedules << " schedules";
}

// One takes the lock again whenever it has let go.
template <class Host>
Exploration one_is_greedy() {
    return Explorer({.preemptions = 4, .delays = 1}).explore([] {
        auto room = std::make_shared<Room<Host>>();
        return Program{{[room] {
                            for (int i = 0; i < 4; ++i) room->visit();
                        },
                        [room] { room->visit(); }},
                       [room] { return room->check(5); }};
    });
}

TEST(InterleaveMutex, NobodyLosesToTheGreedyMoreOftenThanIsSaid) {
    expect_correct("mutex: one is greedy", one_is_greedy<CheckedHost<>>());
}

TEST(InterleaveMutex, OneThatIsHandedNothingIsFound) {
    const Exploration found = one_is_greedy<HandsNotOver>();
    EXPECT_NE(found.bug.find("too often"), std::string::npos) << found.bug << " in " << found.schedules;
}

// One of three is cancelled, while it is about to wait, waits, was woken, or was handed the lock.
template <class Host>
Exploration one_gives_up(unsigned preemptions) {
    return Explorer({.preemptions = preemptions, .delays = 1}).explore([] {
        auto room = std::make_shared<Room<Host>>();
        return Program{{[room] {
                            room->visit();
                            room->visit();
                        },
                        [room] { room->visit_unless_cancelled(); }, [room] { room->visit(); },
                        [room] { Host::cancel(room->tasks[1]); }},
                       [room] { return room->check(4); }};
    });
}

TEST(InterleaveMutex, OneThatGivesUpTakesNeitherWakeNorLockAlong) {
    expect_correct("mutex: one gives up", one_gives_up<CheckedHost<>>(2));
}

TEST(InterleaveMutex, GivingUpWithoutALookBackIsFound) {
    const Exploration found = one_gives_up<LooksNotBack>(2);
    EXPECT_NE(found.bug.find("all threads wait"), std::string::npos) << found.bug;
}

TEST(InterleaveMutex, WakingOneThatHasGivenUpIsFound) {
    const Exploration found = one_gives_up<WakesUnasked>(2);
    EXPECT_NE(found.bug.find("unparked twice"), std::string::npos) << found.bug;
}

}  // namespace
}  // namespace sluice::runtime::interleave
