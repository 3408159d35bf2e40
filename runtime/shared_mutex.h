#pragma once

#include "runtime/spin_lock.h"
#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

// SharedMutex: one writer, or any number of readers. Waiting parks the task. Works with std::shared_lock and
// std::unique_lock.
//
//     std::shared_lock lock(mutex);  // reads
//     std::lock_guard lock(mutex);   // writes
//     std::shared_lock lock(mutex, now() + 10ms);  // if (lock): it is ours
//
// Who waits is served in the order of arrival, readers that stand next to each other together, so that a
// stream of readers does not starve a writer nor writers a reader; a newcomer never passes those who wait.
// The lock is handed over: a writer's turn does not depend on when its task runs.
//
// May be destroyed by a task that held it last, as soon as nobody else is in one of its calls.
class SharedMutex {
  public:
    SharedMutex() = default;
    SharedMutex(const SharedMutex&) = delete;
    SharedMutex& operator=(const SharedMutex&) = delete;

    // lock(), lock_shared() park until the lock is the caller's. Not reentrant (a reader that reads again
    // deadlocks with a writer that came in between). Neither timed nor cancelled: see Mutex::lock().
    void lock();
    void lock_shared();

    bool try_lock();
    bool try_lock_shared();

    // These give up at `deadline`, at the deadline of the task, or when the task is cancelled: false. The
    // place in the queue is given up with it: readers that stood behind such a writer go on.
    bool try_lock_until(Time deadline);
    bool try_lock_for(Duration duration) { return try_lock_until(from_now(duration)); }
    bool try_lock_shared_until(Time deadline);
    bool try_lock_shared_for(Duration duration) { return try_lock_shared_until(from_now(duration)); }

    // Any task may unlock, and any thread.
    void unlock();
    void unlock_shared();

  private:
    bool take();
    bool take_shared();
    bool wait_until(Waiter& waiter, WaitReason reason, Time deadline);
    void hand_over(WakeList& wakes);

    SpinLock lock_;
    bool writing_ = false;  // guarded by lock_, as all below
    unsigned readers_ = 0;
    WaitList waiters_;  // a writer's Waiter has this mutex as its payload, a reader's nothing
};

}  // namespace sluice::runtime
