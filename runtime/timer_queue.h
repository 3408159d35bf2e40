#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/spin_lock.h"
#include "runtime/task.h"
#include "runtime/timer_wheel.h"

namespace sluice::runtime {

class Netpoller;

// TimerQueue: a worker's wheel under its lock, so that any thread may arm and disarm, and the watcher may
// fire what a stuck worker owes. Uncontended but for that.
//
// A worker goes to sleep in steps: sleep_until() tells it how long, and notes that it sleeps; whoever arms an
// earlier timer after that finds the note, under the same lock, and interrupts the worker.
class TimerQueue {
  public:
    explicit TimerQueue(Time start) : wheel_(start) {}

    // arm() arms `timer`, or moves it when it is armed. Interrupts the owner if it sleeps beyond `when`.
    void arm(Timer& timer, Time when);
    // arm_while_waiting() arms `timer` only if the wait `ticket` of `task` is still open. The timer, on that
    // task's stack, is not looked at otherwise: a task whose wait has ended may have left it.
    void arm_while_waiting(Timer& timer, Time when, Task& task, Ticket ticket);
    // disarm() returns when the timer is neither armed nor firing.
    void disarm(Timer& timer);

    // fire_due() fires what is due; cheap when nothing is. due() tells whether there may be something.
    void fire_due(Time now, Woken& woken);
    bool due(Time now) const {
        return now.time_since_epoch().count() >= next_.load(std::memory_order_relaxed);
    }
    // A time before which nothing is due; kNever when nothing is armed.
    Time next() const { return Time(Duration(next_.load(std::memory_order_relaxed))); }

    // sleep_until() returns when the owner must wake, and notes that it sleeps; awake() ends that. Owner
    // only.
    Time sleep_until();
    void awake() { asleep_.store(false, std::memory_order_relaxed); }

    // Set once, before the first arm().
    void set_poller(Netpoller& poller) { poller_ = &poller; }

    SpinLock& lock() { return lock_; }
    // arm_locked() is arm() with lock() held by the caller; true: call interrupt_owner() after releasing it.
    bool arm_locked(Timer& timer, Time when);
    void interrupt_owner();

  private:
    Netpoller* poller_ = nullptr;
    SpinLock lock_;
    TimerWheel wheel_;                                                   // guarded by lock_
    std::atomic<bool> asleep_{false};                                    // written by the owner
    std::atomic<std::int64_t> next_{kNever.time_since_epoch().count()};  // written under lock_
};

}  // namespace sluice::runtime
