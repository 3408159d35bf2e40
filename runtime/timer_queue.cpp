#include "runtime/timer_queue.h"

#include <mutex>

#include "runtime/netpoller.h"

namespace sluice::runtime {

void TimerQueue::arm_locked(Timer& timer, Time when) {
    wheel_.disarm(timer);
    wheel_.arm(timer, when);
    if (when.time_since_epoch().count() < next_.load(std::memory_order_relaxed)) {
        next_.store(when.time_since_epoch().count(), std::memory_order_seq_cst);
    }
}

void TimerQueue::arm_while_waiting(Timer& timer, Time when, Task& task, Ticket ticket) {
    {
        std::lock_guard lock(lock_);
        if (!task.wait.waiting(ticket)) return;
        arm_locked(timer, when);
    }
    // The caller is the owner, awake: nobody to interrupt.
}

void TimerQueue::disarm(Timer& timer) {
    std::lock_guard lock(lock_);
    wheel_.disarm(timer);
}

void TimerQueue::fire_due(Time now, Woken& woken) {
    std::lock_guard lock(lock_);
    wheel_.advance(now, [&](Timer& timer) { timer.fire(timer, now, woken); });
    next_.store(wheel_.next_event().time_since_epoch().count(), std::memory_order_seq_cst);
}

Time TimerQueue::next_exact() {
    std::lock_guard lock(lock_);
    const Time next = wheel_.next_event();
    next_.store(next.time_since_epoch().count(), std::memory_order_seq_cst);
    return next;
}

void TimerQueue::wake_sleeper() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed)) poller_->interrupt();
}

}  // namespace sluice::runtime
