#pragma once

#include "runtime/atomics.h"
#include "runtime/check.h"
#include "runtime/scheduler.h"
#include "runtime/spin_lock.h"
#include "runtime/task.h"

namespace sluice::runtime {

// The calling task, which is about to wait.
inline Task* waiting_task() {
    Task* task = current_task();
    SLUICE_CHECK(task != nullptr, "waiting is for tasks: started by go() or Scheduler::run()");
    return task;
}

// OnTasks: what a primitive needs of the runtime, as a template parameter: this, which parks tasks, or in
// tests/interleave one that parks the threads of a model checker.
struct OnTasks {
    using Atomics = StdAtomics;
    using Lock = SpinLock;
    using Backoff = runtime::Backoff;
    static constexpr unsigned kBargesMax = 4;  // of a mutex

    static Task* waiting_task() { return runtime::waiting_task(); }
    static void park(WaitReason reason, const void* what, Commit commit, void* arg) {
        runtime::park(reason, what, commit, arg);
    }
    static Outcome park_until(WaitReason reason, const void* what, Waiter& waiter, Time deadline,
                              Commit commit, void* arg) {
        return runtime::park_until(reason, what, waiter, deadline, commit, arg);
    }
    static void unpark(Task* task) { runtime::unpark(task); }
    static Time now() { return runtime::now(); }
    // Whether nobody else can run meanwhile, so that waiting a moment for a holder is in vain.
    static bool alone() { return runtime::waiting_task()->scheduler->workers() == 1; }
};

}  // namespace sluice::runtime
