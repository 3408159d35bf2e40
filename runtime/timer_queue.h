#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/spin_lock.h"
#include "runtime/task.h"
#include "runtime/timer_wheel.h"

namespace sluice::runtime {

class Netpoller;

// TimerQueue: a worker's wheel under its lock, so that any thread may arm and disarm, and the watcher may
// fire what a stuck worker owes. Uncontended but for that.
//
// No timer is overslept:
//
//   owner                                        whoever arms an earlier timer
//   1. falls_asleep(): notes it                  1. arms it, which lowers next()
//   2. a full fence (its announcement as idle)   2. a full fence
//   3. reads next(), sleeps until then           3. reads the note: interrupts the owner if it is set
class TimerQueue {
  public:
    explicit TimerQueue(Time start) : wheel_(start) {}

    // arm_while_waiting() arms `timer` if the wait `ticket` of `task` is still open. Otherwise the timer, on
    // that task's stack, is not looked at: it may be gone.
    void arm_while_waiting(Timer& timer, Time when, Task& task, Ticket ticket);
    // disarm() returns when the timer is neither armed nor firing.
    void disarm(Timer& timer);

    // fire_due() fires what is due. due() tells whether there may be something; next(), a time before which
    // there is nothing: kNever when no timer is armed.
    void fire_due(Time now, Woken& woken);
    bool due(Time now) const { return now >= next(); }
    Time next() const { return Time(Duration(next_.load(std::memory_order_seq_cst))); }
    // next_exact() is next() with what was disarmed left out.
    Time next_exact();

    // Owner only.
    void falls_asleep() { asleep_.store(true, std::memory_order_relaxed); }
    void awake() { asleep_.store(false, std::memory_order_relaxed); }

    // For timers that are guarded by more than this queue's lock. arm_locked() moves a timer that is armed
    // already; call wake_sleeper() after unlock.
    SpinLock& lock() { return lock_; }
    void arm_locked(Timer& timer, Time when);
    void wake_sleeper();

    // Set once, before the first timer.
    void set_poller(Netpoller& poller) { poller_ = &poller; }

  private:
    Netpoller* poller_ = nullptr;
    std::atomic<bool> asleep_{false};
    std::atomic<std::int64_t> next_{kNever.time_since_epoch().count()};  // written under lock_
    SpinLock lock_;
    TimerWheel wheel_;  // guarded by lock_
};

}  // namespace sluice::runtime
