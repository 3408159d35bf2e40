#include "runtime/semaphore.h"

#include <mutex>

namespace sluice::runtime {

struct Semaphore::Wait {
    Semaphore* semaphore;
    Waiter waiter;

    static bool commit(void* arg, Task*) {
        auto& self = *static_cast<Wait*>(arg);
        Semaphore& semaphore = *self.semaphore;
        std::lock_guard guard(semaphore.lock_);
        if (semaphore.permits_ > 0) {
            --semaphore.permits_;
            return false;
        }
        semaphore.waiters_.push_back(self.waiter);
        return true;
    }
};

void Semaphore::acquire() {
    try_acquire_until(kNever);
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
    Wait wait{this, Waiter(waiting_task())};
    Outcome outcome =
        park_until(WaitReason::semaphore, this, wait.waiter, deadline, &Wait::commit, &wait, Cancellable::no);
    if (outcome == Outcome::woken) return true;
    std::lock_guard guard(lock_);
    waiters_.remove(wait.waiter);
    return false;
}

void Semaphore::release(std::ptrdiff_t permits) {
    SLUICE_CHECK(permits >= 0, "Semaphore::release() of a negative number");
    WakeList wakes;
    lock_.lock();
    while (permits > 0 && permits_ >= 0) {
        Waiter* waiter = waiters_.claim_front();
        if (waiter == nullptr) break;
        wakes.push(waiter);
        --permits;
    }
    permits_ += permits;
    lock_.unlock();
    wakes.unpark_all();
}

}  // namespace sluice::runtime
