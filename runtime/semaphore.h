#pragma once

#include <cstddef>

#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

// Semaphore: a number of permits.
//
//     Semaphore places(8);  // for all tasks
//     if (!places.try_acquire_until(now() + 1s)) return busy;
//     work();
//     places.release();
//
// FIFO-fair: a permit goes to the task that waits longest, and a newcomer never passes those who wait.
// release() may come from any thread; acquiring is for tasks, but for try_acquire().
//
// May be destroyed by whoever acquired, while the release() that let it is still returning.
class Semaphore {
  public:
    explicit Semaphore(std::ptrdiff_t permits) : permits_(permits) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    // acquire() takes a permit, and parks until there is one. Not cancelled: it has no way to say so.
    void acquire();
    // try_acquire() takes a permit if there is one that nobody waits for.
    bool try_acquire();
    // try_acquire_until() gives up at the deadline, or when the task is cancelled: false. The place in the
    // queue is given up with it.
    bool try_acquire_until(Time deadline);

    // release() returns `permits`, or adds new ones.
    void release(std::ptrdiff_t permits = 1);

  private:
    SpinLock lock_;
    std::ptrdiff_t permits_;  // guarded by lock_, as below; positive only while nobody waits
    WaitList waiters_;
};

}  // namespace sluice::runtime
