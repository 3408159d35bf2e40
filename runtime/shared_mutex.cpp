#include "runtime/shared_mutex.h"

#include <mutex>

#include "runtime/check.h"

namespace sluice::runtime {

void SharedMutex::lock() {
    lock_.lock();
    if (!writing_ && readers_ == 0) {
        writing_ = true;
        return lock_.unlock();
    }
    Waiter waiter(waiting_task(), Waiter::Sole{});
    waiter.payload = this;
    wait_in(waiters_, lock_, waiter, WaitReason::shared_mutex, this);
}

void SharedMutex::lock_shared() {
    lock_.lock();
    if (!writing_ && waiters_.empty()) {
        ++readers_;
        return lock_.unlock();
    }
    Waiter waiter(waiting_task(), Waiter::Sole{});
    wait_in(waiters_, lock_, waiter, WaitReason::shared_mutex_shared, this);
}

bool SharedMutex::try_lock() {
    std::lock_guard guard(lock_);
    if (writing_ || readers_ != 0) return false;
    writing_ = true;
    return true;
}

bool SharedMutex::try_lock_shared() {
    std::lock_guard guard(lock_);
    if (writing_ || !waiters_.empty()) return false;
    ++readers_;
    return true;
}

void SharedMutex::unlock() {
    WakeList wakes;
    lock_.lock();
    SLUICE_CHECK(writing_, "unlock() of a SharedMutex that no writer holds");
    writing_ = false;
    hand_over(wakes);
    lock_.unlock();
    wakes.unpark_all();
}

void SharedMutex::unlock_shared() {
    WakeList wakes;
    lock_.lock();
    SLUICE_CHECK(readers_ != 0, "unlock_shared() of a SharedMutex that no reader holds");
    if (--readers_ == 0) hand_over(wakes);
    lock_.unlock();
    wakes.unpark_all();
}

// With lock_ held, and nobody holding the mutex: to the first that waits, and if it reads, to all readers up
// to the next writer.
void SharedMutex::hand_over(WakeList& wakes) {
    while (Waiter* const first = waiters_.front()) {
        const bool writer = first->payload != nullptr;
        if (writer && readers_ != 0) return;
        waiters_.remove(*first);
        wakes.push(first);
        if (writer) {
            writing_ = true;
            return;
        }
        ++readers_;
    }
}

}  // namespace sluice::runtime
