#include "runtime/condition.h"

namespace sluice::runtime {

struct Condition::Wait {
    Condition* condition;
    Mutex* mutex;
    Waiter waiter;

    // Links the waiter, and only then lets go of the mutex: whoever notifies after that finds it.
    static bool commit(void* arg, Task*) {
        auto& self = *static_cast<Wait*>(arg);
        Mutex* mutex = self.mutex;
        {
            std::lock_guard guard(self.condition->lock_);
            self.condition->waiters_.push_back(self.waiter);
        }
        // `self` may be gone from here on; the mutex not, for the task has yet to lock it.
        mutex->unlock();
        return true;
    }
};

void Condition::wait(std::unique_lock<Mutex>& lock) {
    wait_for(lock, kNever, Cancellable::no);
}

bool Condition::wait_until(std::unique_lock<Mutex>& lock, Time deadline) {
    return wait_for(lock, deadline, Cancellable::yes);
}

bool Condition::wait_for(std::unique_lock<Mutex>& lock, Time deadline, Cancellable cancellable) {
    SLUICE_CHECK(lock.owns_lock(), "Condition::wait() without the lock");
    Wait wait{this, lock.mutex(), Waiter(waiting_task())};
    Outcome outcome =
        park_until(WaitReason::condition, this, wait.waiter, deadline, &Wait::commit, &wait, cancellable);
    if (outcome != Outcome::woken) {
        std::lock_guard guard(lock_);
        waiters_.remove(wait.waiter);
    }
    wait.mutex->lock();
    return outcome == Outcome::woken;
}

void Condition::notify_one() {
    lock_.lock();
    Waiter* waiter = waiters_.claim_front();
    lock_.unlock();
    if (waiter != nullptr) unpark(waiter->task);
}

void Condition::notify_all() {
    WakeList wakes;
    lock_.lock();
    while (Waiter* waiter = waiters_.claim_front()) wakes.push(waiter);
    lock_.unlock();
    wakes.unpark_all();
}

}  // namespace sluice::runtime
