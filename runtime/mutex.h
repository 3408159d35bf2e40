#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

// Mutex: mutual exclusion among tasks. Waiting parks the task; the holder may park. Works with
// std::lock_guard, std::unique_lock and std::scoped_lock.
//
//     Mutex mutex;
//     std::lock_guard lock(mutex);
//     std::unique_lock lock(mutex, now() + 10ms);  // if (lock): it is ours
//
// A lock that is free goes to whoever asks first, even past tasks that wait (barging): handing it to a waiter
// would leave it idle until that waiter runs. The unfairness is bounded: a waiter that was woken kBargesMax
// times and found the lock taken each time is handed it by the next unlock().
//
// May be destroyed by a task that holds or held it last, as soon as nobody else is in lock() or one of its
// timed kin. Free and contended by nobody, lock() and unlock() are one compare-and-swap each.
template <class Host>
class BasicMutex {
  public:
    static constexpr unsigned kBargesMax = Host::kBargesMax;

    BasicMutex() = default;
    BasicMutex(const BasicMutex&) = delete;
    BasicMutex& operator=(const BasicMutex&) = delete;

    // lock() parks until the lock is the caller's. Not reentrant. Neither timed nor cancelled: it returns
    // with the lock, since a std::lock_guard has no way to hear that it has none.
    void lock() {
        if (!take_free()) lock_slow();
    }

    // try_lock_until() is lock() that gives up at `deadline`, at the deadline of the task, or when the task
    // is cancelled: false. A lock that is free it takes in any case. With kNever it is a lock() that can be
    // cancelled.
    bool try_lock_until(Time deadline) { return take_free() || lock_slow_until(deadline); }
    bool try_lock_for(Duration duration) { return take_free() || lock_slow_until(from_now(duration)); }

    bool try_lock() {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        while ((word & kLocked) == 0) {
            if (word_.compare_exchange_weak(word, word | kLocked, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    // unlock() releases the lock, and wakes a waiter if there is one. Any task may, and any thread.
    void unlock() {
        std::uint32_t word = kLocked;
        // release: pairs with the acquire of the next lock().
        if (!word_.compare_exchange_strong(word, 0, std::memory_order_release, std::memory_order_relaxed)) {
            unlock_slow(word);
        }
    }

  private:
    struct Wait;

    static constexpr std::uint32_t kLocked = 1;
    static constexpr std::uint32_t kQueue = 2;    // somebody edits waiters_
    static constexpr std::uint32_t kWaiting = 4;  // waiters_ is not empty, or about to be
    static constexpr std::uint32_t kWoken =
        8;  // a woken waiter is on its way: unlock() need not wake another
    static constexpr std::uint32_t kHandOver =
        16;  // the first waiter lost too often: unlock() gives it the lock

    bool take_free() {
        std::uint32_t word = 0;
        return word_.compare_exchange_strong(word, kLocked, std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }
    void lock_slow();
    bool lock_slow_until(Time deadline);
    bool spin();
    bool take_woken();
    bool enqueue(Wait& wait);
    bool withdraw(Wait& wait);
    void unlock_slow(std::uint32_t word);
    void wake_first(std::uint32_t word);

    typename Host::Atomics::template Atomic<std::uint32_t> word_{0};
    WaitList waiters_;  // guarded by kQueue
};

extern template class BasicMutex<OnTasks>;
using Mutex = BasicMutex<OnTasks>;

}  // namespace sluice::runtime
