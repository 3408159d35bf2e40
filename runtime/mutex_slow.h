#pragma once

#include "runtime/mutex.h"

// The slow paths of BasicMutex, for mutex.cpp and the model checker.
//
// Who may change the word while a bit is set, from which the rest follows:
//
//   kLocked set: only the holder clears it, or passes it on still set.
//   kQueue set by one that is about to wait: kLocked may come and go, and kWoken go. unlock() need not wake
//     anybody: the one who holds kQueue looks at kLocked when it lets go, and takes a lock that became free.
//   kQueue set by one that has given up: the same, but that kLocked may have been clear from the beginning.
//   kQueue set by unlock(), with kLocked still set: nothing changes. The lock is released together with
//     kQueue in the last access to the mutex, so that the next holder may destroy it.
namespace sluice::runtime {

template <class Host>
struct BasicMutex<Host>::Wait {
    BasicMutex* mutex;
    Waiter waiter;
    std::uint32_t woken;  // kWoken if this task was woken and owes the word that bit
    unsigned losses;
    bool owner = false;  // the lock was taken by the commit or handed over by unlock()

    static bool commit(void* arg, Task*) {
        auto& self = *static_cast<Wait*>(arg);
        return self.mutex->enqueue(self);
    }
};

template <class Host>
void BasicMutex<Host>::lock_slow() {
    if (spin()) return;
    Wait wait{this, Waiter(Host::waiting_task(), Waiter::Sole{}), 0, 0};
    wait.waiter.payload = &wait;
    for (;; ++wait.losses) {
        Host::park(WaitReason::mutex, this, &Wait::commit, &wait);
        if (wait.owner || take_woken()) return;
        wait.woken = kWoken;
    }
}

// lock_slow(), of a wait that somebody else may end as well: who is woken, or handed the lock, is claimed
// before, so that neither goes to one that has given up.
template <class Host>
bool BasicMutex<Host>::lock_slow_until(Time deadline) {
    if (spin()) return true;
    if (deadline != kNever && deadline <= Host::now()) return false;
    Wait wait{this, Waiter(Host::waiting_task()), 0, 0};
    wait.waiter.payload = &wait;
    for (;; ++wait.losses, wait.waiter.reopen()) {
        const Outcome outcome =
            Host::park_until(WaitReason::mutex, this, wait.waiter, deadline, &Wait::commit, &wait);
        if (outcome != Outcome::woken) return withdraw(wait);
        if (wait.owner || take_woken()) return true;
        wait.woken = kWoken;
    }
}

// Takes the lock, for a task that was woken, unless another was faster.
template <class Host>
bool BasicMutex<Host>::take_woken() {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    while ((word & kLocked) == 0) {
        if (word_.compare_exchange_weak(word, (word & ~kWoken) | kLocked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

// Waits a moment for a holder on another worker, which costs less than parking when it only does a little.
template <class Host>
bool BasicMutex<Host>::spin() {
    constexpr int kRounds = 60;
    if (Host::alone()) return try_lock();
    typename Host::Backoff backoff;
    for (int round = 0; round < kRounds; ++round) {
        if (try_lock()) return true;
        if ((word_.load(std::memory_order_relaxed) & kHandOver) != 0) return false;
        backoff.pause();
    }
    return false;
}

// The commit of lock_slow(): links the waiter, or takes the lock if it is free by now. True: linked.
template <class Host>
bool BasicMutex<Host>::enqueue(Wait& wait) {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    for (typename Host::Backoff backoff;;) {
        if ((word & kLocked) == 0) {
            if (word_.compare_exchange_weak(word, (word & ~wait.woken) | kLocked, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                wait.owner = true;
                return false;
            }
        } else if ((word & kQueue) != 0) {
            backoff.pause();
            word = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(word, word | kQueue | kWaiting, std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
            break;
        }
    }
    if (wait.losses == 0) {
        waiters_.push_back(wait.waiter);
    } else {
        waiters_.push_front(wait.waiter);  // it had been first
    }
    const std::uint32_t hand_over = wait.losses >= kBargesMax ? kHandOver : 0;
    const std::uint32_t woken = wait.woken;
    word = word_.load(std::memory_order_relaxed);
    for (;;) {
        if ((word & kLocked) != 0) {
            // release: the list, for the next to set kQueue. From here on `wait` may be gone.
            if (word_.compare_exchange_weak(word, (word & ~(kQueue | woken)) | hand_over,
                                            std::memory_order_release, std::memory_order_relaxed)) {
                return true;
            }
        } else if (word_.compare_exchange_weak(word, (word & ~woken) | kLocked, std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
            break;  // unlocked since, by one that left the wake to us: with both bits ours, nothing changes
                    // the word
        }
    }
    waiters_.remove(wait.waiter);
    word = (word & ~(woken | kQueue)) | kLocked;
    if (waiters_.empty()) word &= ~kWaiting;
    word_.store(word, std::memory_order_release);
    wait.owner = true;
    return false;
}

// Takes one that has given up out of the list, unless an unlock() has. True: with the lock, which is free and
// perhaps was left to the holder of kQueue.
template <class Host>
bool BasicMutex<Host>::withdraw(Wait& wait) {
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    for (typename Host::Backoff backoff;;) {
        if ((word & kQueue) != 0) {
            backoff.pause();
            word = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(word, word | kQueue, std::memory_order_acquire,
                                               std::memory_order_relaxed)) {
            break;
        }
    }
    waiters_.remove(wait.waiter);
    const std::uint32_t gone = waiters_.empty() ? kQueue | kWaiting | kHandOver : kQueue;
    word = word_.load(std::memory_order_relaxed);
    // acquire: the lock, if it is free; release: the list.
    while (!word_.compare_exchange_weak(word, (word & ~gone) | kLocked, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
    }
    return (word & kLocked) == 0;
}

template <class Host>
void BasicMutex<Host>::unlock_slow(std::uint32_t word) {
    for (typename Host::Backoff backoff;;) {
        SLUICE_CHECK((word & kLocked) != 0, "unlock() of a Mutex that is not locked");
        if ((word & (kWaiting | kQueue)) == kWaiting && ((word & kWoken) == 0 || (word & kHandOver) != 0)) {
            if (word_.compare_exchange_weak(word, word | kQueue, std::memory_order_acquire,
                                            std::memory_order_relaxed)) {
                return wake_first(word);
            }
        } else if ((word & (kQueue | kHandOver)) == (kQueue | kHandOver)) {
            backoff.pause();
            word = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(word, word & ~kLocked, std::memory_order_release,
                                               std::memory_order_relaxed)) {
            return;
        }
    }
}

// `word` is the word without the kQueue that the caller has set: nobody changes it meanwhile.
template <class Host>
void BasicMutex<Host>::wake_first(std::uint32_t word) {
    Waiter* first = waiters_.claim_front();
    if (waiters_.empty()) word &= ~kWaiting;
    if (first == nullptr) {  // all have given up
        word_.store(word & ~(kLocked | kHandOver), std::memory_order_release);
        return;
    }
    if ((word & kHandOver) != 0) {
        static_cast<Wait*>(first->payload)->owner = true;
        word &= ~kHandOver;
    } else {
        word = (word & ~kLocked) | kWoken;
    }
    Task* task = first->task;
    word_.store(word, std::memory_order_release);
    Host::unpark(task);
}

}  // namespace sluice::runtime
