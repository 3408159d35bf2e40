// The mutex, in every order in which the steps of those who use it can happen; and once more with
// read-modify-writes in two parts, which must be found.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/mutex_slow.h"
#include "tests/interleave/checked_host.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

template <class Host>
struct Room {
    Room() { Host::tasks = &tasks; }

    typename Host::Tasks tasks;
    BasicMutex<Host> mutex;
    typename Host::Atomics::template Atomic<int> inside{0};
    bool crowded = false;
    int visits = 0;

    void visit() {
        mutex.lock();
        crowded |= inside.fetch_add(1) != 0;
        ++visits;
        inside.fetch_sub(1);
        mutex.unlock();
    }
    std::string check(int expected) {
        if (crowded) return "two at a time";
        if (visits != expected) return "a visit was lost";
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

}  // namespace
}  // namespace sluice::runtime::interleave
