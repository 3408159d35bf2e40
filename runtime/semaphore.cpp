#include "runtime/semaphore.h"

#include <mutex>

namespace sluice::runtime {

void Semaphore::acquire() {
    lock_.lock();
    if (permits_ > 0) {
        --permits_;
        return lock_.unlock();
    }
    Waiter waiter(waiting_task(), Waiter::Sole{});
    wait_in(waiters_, lock_, waiter, WaitReason::semaphore, this);
}

bool Semaphore::try_acquire() {
    std::lock_guard guard(lock_);
    if (permits_ <= 0) return false;
    --permits_;
    return true;
}

bool Semaphore::try_acquire_until(Time deadline) {
    if (try_acquire()) return true;
    if (deadline != kNever && deadline <= now()) return false;
    Waiter waiter(waiting_task());
    lock_.lock();
    if (permits_ > 0) {
        --permits_;
        lock_.unlock();
        return true;
    }
    return wait_in(waiters_, lock_, waiter, WaitReason::semaphore, this, deadline) == Outcome::woken;
}

void Semaphore::release(std::ptrdiff_t permits) {
    SLUICE_CHECK(permits >= 0, "Semaphore::release() of a negative number");
    WakeList wakes;
    lock_.lock();
    permits_ += permits;
    while (permits_ > 0) {
        Waiter* waiter = waiters_.claim_front();
        if (waiter == nullptr) break;
        wakes.push(waiter);
        --permits_;
    }
    lock_.unlock();
    wakes.unpark_all();
}

}  // namespace sluice::runtime
