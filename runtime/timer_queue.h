#pragma once

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
// No timer is overslept:
//
//   owner                                        whoever arms an earlier timer
//   1. falls_asleep(): notes it                  1. arms it, which lowers next()
//   2. a full fence (its announcement as idle)   2. a full fence
//   3. reads next(), sleeps until then           3. reads the note: interrupts the owner if it is set
template <class Atomics, class Lock, class Sleeper>
class BasicTimerQueue {
    template <class T>
    using Atomic = typename Atomics::template Atomic<T>;

  public:
    explicit BasicTimerQueue(Time start) : wheel_(start) {}

    // arm_while_waiting() arms `timer` if the wait `ticket` is still open. Otherwise the timer, on the
    // waiting task's stack, is not looked at: it may be gone.
    void arm_while_waiting(Timer& timer, Time when, const BasicWaitWord<Atomics>& wait, Ticket ticket);
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
    Lock& lock() { return lock_; }
    void arm_locked(Timer& timer, Time when);
    void wake_sleeper();

    // Set once, before the first timer.
    void set_poller(Sleeper& poller) { poller_ = &poller; }

  private:
    Sleeper* poller_ = nullptr;
    Atomic<bool> asleep_{false};
    Atomic<std::int64_t> next_{kNever.time_since_epoch().count()};  // written under lock_
    Lock lock_;
    TimerWheel wheel_;  // guarded by lock_
};

template <class Atomics, class Lock, class Sleeper>
void BasicTimerQueue<Atomics, Lock, Sleeper>::arm_locked(Timer& timer, Time when) {
    wheel_.disarm(timer);
    wheel_.arm(timer, when);
    if (when.time_since_epoch().count() < next_.load(std::memory_order_relaxed)) {
        next_.store(when.time_since_epoch().count(), std::memory_order_seq_cst);
    }
}

template <class Atomics, class Lock, class Sleeper>
void BasicTimerQueue<Atomics, Lock, Sleeper>::arm_while_waiting(Timer& timer, Time when,
                                                                const BasicWaitWord<Atomics>& wait,
                                                                Ticket ticket) {
    {
        std::lock_guard lock(lock_);
        if (!wait.waiting(ticket)) return;
        arm_locked(timer, when);
    }
    // The caller is the owner, awake: nobody to interrupt.
}

template <class Atomics, class Lock, class Sleeper>
void BasicTimerQueue<Atomics, Lock, Sleeper>::disarm(Timer& timer) {
    std::lock_guard lock(lock_);
    wheel_.disarm(timer);
}

template <class Atomics, class Lock, class Sleeper>
void BasicTimerQueue<Atomics, Lock, Sleeper>::fire_due(Time now, Woken& woken) {
    std::lock_guard lock(lock_);
    wheel_.advance(now, [&](Timer& timer) { timer.fire(timer, now, woken); });
    next_.store(wheel_.next_event().time_since_epoch().count(), std::memory_order_seq_cst);
}

template <class Atomics, class Lock, class Sleeper>
Time BasicTimerQueue<Atomics, Lock, Sleeper>::next_exact() {
    std::lock_guard lock(lock_);
    const Time next = wheel_.next_event();
    next_.store(next.time_since_epoch().count(), std::memory_order_seq_cst);
    return next;
}

template <class Atomics, class Lock, class Sleeper>
void BasicTimerQueue<Atomics, Lock, Sleeper>::wake_sleeper() {
    Atomics::full_fence();
    if (asleep_.load(std::memory_order_relaxed)) poller_->interrupt();
}

using TimerQueue = BasicTimerQueue<StdAtomics, SpinLock, Netpoller>;
extern template class BasicTimerQueue<StdAtomics, SpinLock, Netpoller>;

}  // namespace sluice::runtime
