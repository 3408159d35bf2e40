#pragma once

#include <mutex>

#include "runtime/mutex.h"
#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

// Condition: lets tasks wait until something that a Mutex guards has changed.
//
//     std::unique_lock lock(mutex);
//     not_empty.wait(lock, [&] { return !items.empty(); });
//
// Waiters are woken in the order in which they came. A notification may come with or without the mutex held,
// from any thread.
class Condition {
  public:
    Condition() = default;
    Condition(const Condition&) = delete;
    Condition& operator=(const Condition&) = delete;

    // wait() releases the lock and parks, in one step as seen by those who notify; it holds the lock again
    // when it returns. Never wakes without a notification.
    void wait(std::unique_lock<Mutex>& lock);
    template <class Predicate>
    void wait(std::unique_lock<Mutex>& lock, Predicate holds) {
        while (!holds()) wait(lock);
    }

    // wait_until() is wait() that gives up at the deadline, or when the task is cancelled: false.
    bool wait_until(std::unique_lock<Mutex>& lock, Time deadline);
    // As above, until the predicate holds; returns whether it does.
    template <class Predicate>
    bool wait_until(std::unique_lock<Mutex>& lock, Time deadline, Predicate holds) {
        while (!holds()) {
            if (!wait_until(lock, deadline)) return holds();
        }
        return true;
    }

    void notify_one();
    void notify_all();

  private:
    struct Wait;
    bool wait_for(std::unique_lock<Mutex>& lock, Time deadline, Cancellable cancellable);

    SpinLock lock_;
    WaitList waiters_;  // guarded by lock_
};

}  // namespace sluice::runtime
