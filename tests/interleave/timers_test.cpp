// The timer of a wait: armed only while the wait is open, taken out by whoever ends it, and not overslept by
// the worker whose it is.

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "runtime/netpoller.h"
#include "runtime/timer_queue.h"
#include "tests/interleave/checked_host.h"
#include "tests/interleave/expect.h"

namespace sluice::runtime::interleave {
namespace {

using namespace std::chrono_literals;
using Host = CheckedHost<>;

struct Sleeper {
    bool interrupted = false;
    void interrupt() { interrupted = true; }
};

using Queue = BasicTimerQueue<CheckedAtomics<>, Host::Lock, Sleeper>;

constexpr Time kDue = Time{} + 1ms;

// A wait with a deadline, as park_until() has it: the task's worker arms the timer after the stack was left,
// and the task takes it out when it goes on, unless it has fired. Then the timer is gone.
struct DeadlineWait {
    struct WaitTimer : Timer {
        explicit WaitTimer(DeadlineWait& w) : Timer(&fired), wait(w) {}
        static void fired(Timer& timer, Time, Woken&) {
            auto& self = static_cast<WaitTimer&>(timer).wait;
            if (self.gone) self.bug = "a timer fired that is gone";
            if (self.word.claim(self.ticket, Outcome::timed_out)) self.resume(Outcome::timed_out);
        }
        DeadlineWait& wait;
    };

    Sleeper sleeper;
    Queue queue{Time{}};
    BasicWaitWord<CheckedAtomics<>> word;
    Ticket ticket = word.open();
    WaitTimer timer{*this};
    int resumed = 0;
    bool timed_out = false;
    bool gone = false;
    std::string bug;

    DeadlineWait() { queue.set_poller(sleeper); }

    // With the queue's lock held when it is the timer that fires, so the rest of it waits: see below.
    void resume(Outcome how) {
        ++resumed;
        timed_out = how == Outcome::timed_out;
        if (timed_out) gone = true;
    }
    void wake() {
        if (!word.claim(ticket, Outcome::woken)) return;
        resume(Outcome::woken);
        queue.disarm(timer);
        gone = true;
    }
    void fire() {
        Woken woken;
        queue.fire_due(kDue, woken);
    }
    std::string check() {
        if (!bug.empty()) return bug;
        if (gone && timer.armed()) return "a timer is armed that is gone";
        fire();  // whatever is left
        return resumed == 1 ? "" : "the task went on " + std::to_string(resumed) + " times";
    }
};

Exploration park_wake_and_fire(bool looks_at_the_wait) {
    return Explorer({.preemptions = 3, .delays = 2}).explore([looks_at_the_wait] {
        auto wait = std::make_shared<DeadlineWait>();
        return Program{{[wait, looks_at_the_wait] {
                            if (looks_at_the_wait) {
                                wait->queue.arm_while_waiting(wait->timer, kDue, wait->word, wait->ticket);
                            } else {
                                std::lock_guard lock(wait->queue.lock());
                                wait->queue.arm_locked(wait->timer, kDue);
                            }
                        },
                        [wait] { wait->wake(); }, [wait] { wait->fire(); }},
                       [wait] { return wait->check(); }};
    });
}

TEST(InterleaveTimer, IsArmedWhileTheWaitIsOpenAndNoLonger) {
    expect_correct("timer: armed, woken, fired", park_wake_and_fire(true));
}

TEST(InterleaveTimer, ArmingWithoutALookAtTheWaitIsFound) {
    const Exploration found = park_wake_and_fire(false);
    EXPECT_NE(found.bug.find("that is gone"), std::string::npos) << found.bug;
}

// TimerQueue's protocol between its owner, who falls asleep, and another thread that arms an earlier timer.
// `fence`: of the announcement as idle, which is a read-modify-write.
Exploration arm_while_the_owner_falls_asleep(bool fence) {
    struct Shared {
        Sleeper sleeper;
        Queue queue{Time{}};
        Timer timer;
        CheckedAtomic<bool> idle{false};
        bool asleep = false;
    };
    return Explorer({.preemptions = 4}).explore([fence] {
        auto shared = std::make_shared<Shared>();
        shared->queue.set_poller(shared->sleeper);
        return Program{{[shared, fence] {
                            shared->queue.falls_asleep();
                            if (fence) shared->idle.exchange(true);
                            shared->asleep = shared->queue.next() == kNever;
                        },
                        [shared] {
                            {
                                std::lock_guard lock(shared->queue.lock());
                                shared->queue.arm_locked(shared->timer, kDue);
                            }
                            shared->queue.wake_sleeper();
                        }},
                       [shared]() -> std::string {
                           shared->queue.disarm(shared->timer);
                           const bool overslept = shared->asleep && !shared->sleeper.interrupted;
                           return overslept ? "a timer is overslept" : "";
                       }};
    });
}

TEST(InterleaveTimer, IsNotOverslept) {
    expect_correct("timer: armed while its owner falls asleep", arm_while_the_owner_falls_asleep(true));
}

TEST(InterleaveTimer, WithoutTheFenceOfTheOwnerAnOversleptTimerIsFound) {
    const Exploration found = arm_while_the_owner_falls_asleep(false);
    EXPECT_NE(found.bug.find("overslept"), std::string::npos) << "in " << found.schedules << " schedules";
}

}  // namespace
}  // namespace sluice::runtime::interleave
