#include "runtime/wait_group.h"

namespace sluice::runtime {

struct WaitGroup::Wait {
    WaitGroup* group;
    Waiter waiter;

    static bool commit(void* arg, Task*) {
        auto& self = *static_cast<Wait*>(arg);
        WaitGroup& group = *self.group;
        group.lock_queue();
        bool pending = group.word_.load(std::memory_order_relaxed) >= kOne;
        if (pending) group.waiters_.push_back(self.waiter);
        group.word_.fetch_sub(kQueue, std::memory_order_release);
        return pending;
    }
};

void WaitGroup::lock_queue() {
    for (Backoff backoff; (word_.fetch_or(kQueue, std::memory_order_acquire) & kQueue) != 0;) backoff.pause();
}

// The last one takes kQueue first and gives it back in the same step that makes the count zero: its last
// access, so that neither a waiter nor one that finds the count zero can destroy the group under its hands.
void WaitGroup::done() {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (Backoff backoff;;) {
        SLUICE_CHECK(word >= kOne, "WaitGroup: more done() than add()");
        if (word >= 2 * kOne) {
            // release: what this one did, for wait(); the chain goes on through the other done().
            if (word_.compare_exchange_weak(word, word - kOne, std::memory_order_release,
                                            std::memory_order_relaxed)) {
                return;
            }
        } else if ((word & kQueue) != 0) {
            backoff.pause();
            word = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(word, word | kQueue, std::memory_order_acq_rel,
                                               std::memory_order_relaxed)) {
            break;
        }
    }
    WakeList wakes;
    while (Waiter* waiter = waiters_.claim_front()) wakes.push(waiter);
    word_.fetch_sub(kOne | kQueue, std::memory_order_release);
    wakes.unpark_all();
}

bool WaitGroup::wait_for(Time deadline, Cancellable cancellable) {
    if (word_.load(std::memory_order_acquire) == 0) return true;
    Wait wait{this, Waiter(waiting_task())};
    Outcome outcome =
        park_until(WaitReason::wait_group, this, wait.waiter, deadline, &Wait::commit, &wait, cancellable);
    if (outcome == Outcome::woken) return true;
    lock_queue();
    waiters_.remove(wait.waiter);
    word_.fetch_sub(kQueue, std::memory_order_release);
    return false;
}

}  // namespace sluice::runtime
