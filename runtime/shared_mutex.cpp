#include "runtime/shared_mutex.h"

#include <mutex>

#include "runtime/check.h"

namespace sluice::runtime {

// With lock_ held, as is take_shared().
bool SharedMutex::take() {
    if (writing_ || readers_ != 0) return false;
    writing_ = true;
    return true;
}

bool SharedMutex::take_shared() {
    if (writing_ || !waiters_.empty()) return false;
    ++readers_;
    return true;
}

void SharedMutex::lock() {
    lock_.lock();
    if (take()) return lock_.unlock();
    Waiter waiter(waiting_task(), Waiter::Sole{});
    waiter.payload = this;
    wait_in(waiters_, lock_, waiter, WaitReason::shared_mutex, this);
}

void SharedMutex::lock_shared() {
    lock_.lock();
    if (take_shared()) return lock_.unlock();
    Waiter waiter(waiting_task(), Waiter::Sole{});
    wait_in(waiters_, lock_, waiter, WaitReason::shared_mutex_shared, this);
}

bool SharedMutex::try_lock() {
    std::lock_guard guard(lock_);
    return take();
}

bool SharedMutex::try_lock_shared() {
    std::lock_guard guard(lock_);
    return take_shared();
}

bool SharedMutex::try_lock_until(Time deadline) {
    if (try_lock()) return true;
    if (deadline != kNever && deadline <= now()) return false;
    Waiter waiter(waiting_task());
    waiter.payload = this;
    lock_.lock();
    if (!take()) return wait_until(waiter, WaitReason::shared_mutex, deadline);
    lock_.unlock();
    return true;
}

bool SharedMutex::try_lock_shared_until(Time deadline) {
    if (try_lock_shared()) return true;
    if (deadline != kNever && deadline <= now()) return false;
    Waiter waiter(waiting_task());
    lock_.lock();
    if (!take_shared()) return wait_until(waiter, WaitReason::shared_mutex_shared, deadline);
    lock_.unlock();
    return true;
}

// With lock_ held, which it lets go of.
bool SharedMutex::wait_until(Waiter& waiter, WaitReason reason, Time deadline) {
    if (wait_in(waiters_, lock_, waiter, reason, this, deadline) == Outcome::woken) return true;
    WakeList wakes;
    lock_.lock();
    if (!writing_) hand_over(wakes);  // to readers that stood behind this one while others read
    lock_.unlock();
    wakes.unpark_all();
    return false;
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

// With lock_ held, and no writer holding the mutex: to the first that waits, and if it reads, to all readers
// up to the next writer. Who has given up is passed over.
void SharedMutex::hand_over(WakeList& wakes) {
    while (Waiter* const first = waiters_.front()) {
        const bool writer = first->payload != nullptr;
        if (writer && readers_ != 0) return;
        waiters_.remove(*first);
        if (!first->wake()) continue;
        wakes.push(first);
        if (writer) {
            writing_ = true;
            return;
        }
        ++readers_;
    }
}

}  // namespace sluice::runtime
