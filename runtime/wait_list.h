#pragma once

#include <mutex>

#include "runtime/on_tasks.h"
#include "runtime/spin_lock.h"
#include "runtime/task.h"

// What the synchronisation primitives are made of. Not for use outside runtime/.
//
// Their common shape: a SpinLock guards the state and one or two WaitLists. An operation that cannot go on
// parks; the commit takes the SpinLock, looks again, and links the Waiter. A waker takes the SpinLock,
// unlinks and claims, releases the SpinLock, and only then unparks: a task that was woken may destroy the
// primitive at once.
namespace sluice::runtime {

// WaitList: Waiters in the order in which they came. Guarded by the primitive's lock.
class WaitList {
  public:
    bool empty() const { return head_ == nullptr; }

    void push_back(Waiter& waiter) {
        if (head_ == nullptr) {
            head_ = waiter.next = waiter.prev = &waiter;
        } else {
            waiter.next = head_;
            waiter.prev = head_->prev;
            waiter.prev->next = head_->prev = &waiter;
        }
        waiter.linked = true;
    }

    Waiter* front() const { return head_; }  // nullptr when empty

    void push_front(Waiter& waiter) {
        push_back(waiter);
        head_ = &waiter;
    }

    // Does nothing to a waiter that is not linked.
    void remove(Waiter& waiter) {
        if (!waiter.linked) return;
        waiter.linked = false;
        if (waiter.next == &waiter) {
            head_ = nullptr;
            return;
        }
        if (head_ == &waiter) head_ = waiter.next;
        waiter.prev->next = waiter.next;
        waiter.next->prev = waiter.prev;
    }

    // Nullptr when empty.
    Waiter* pop_front() {
        Waiter* waiter = head_;
        if (waiter != nullptr) remove(*waiter);
        return waiter;
    }

    // claim_front() unlinks waiters until it has claimed one, which it returns: the caller unparks its task.
    // Those passed over have timed out or were cancelled. Nullptr when none is left.
    Waiter* claim_front() {
        while (Waiter* waiter = pop_front()) {
            if (waiter->wake()) return waiter;
        }
        return nullptr;
    }

  private:
    Waiter* head_ = nullptr;  // circular; head_->prev is the last
};

// WakeList: claimed waiters on their way from under a lock to unpark(). Linked through Waiter::next.
class WakeList {
  public:
    void push(Waiter* waiter) {
        waiter->next = nullptr;
        (head_ == nullptr ? head_ : tail_->next) = waiter;
        tail_ = waiter;
    }

    template <class Host = OnTasks>
    void unpark_all() {
        while (Waiter* waiter = head_) {
            head_ = waiter->next;  // before the unpark, which ends the waiter's life
            Host::unpark(waiter->task);
        }
    }

  private:
    Waiter* head_ = nullptr;
    Waiter* tail_ = nullptr;
};

// The common case of a wait, in an operation that found under `lock` that it must wait: links the waiter last
// and parks. The lock goes with it and is let go of on the stack arrived at, so that nobody has to look again
// whether there is anything to wait for: a third less than locking twice. Returns woken; or, unless the
// waiter is a sole one, cancelled or timed_out, and then it is in no list.
template <class Host = OnTasks>
Outcome wait_in(WaitList& list, typename Host::Lock& lock, Waiter& waiter, WaitReason reason,
                const void* what, Time deadline = kNever) {
    const Commit let_go = [](void* held, Task*) {
        static_cast<typename Host::Lock*>(held)->unlock();
        return true;
    };
    list.push_back(waiter);
    if (waiter.sole()) {
        Host::park(reason, what, let_go, &lock);
        return Outcome::woken;
    }
    const Outcome outcome = Host::park_until(reason, what, waiter, deadline, let_go, &lock);
    if (outcome != Outcome::woken) {
        std::lock_guard guard(lock);
        list.remove(waiter);
    }
    return outcome;
}

// The waiter for wait_in(), a sole one unless the task can be cancelled or has a deadline.
inline Waiter waiter_of(Task* task) {
    const bool bounded = task->cancellable || task->deadline != kNever;
    return bounded ? Waiter(task) : Waiter(task, Waiter::Sole{});
}

}  // namespace sluice::runtime
