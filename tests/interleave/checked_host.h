#pragma once

#include <array>
#include <cstddef>

#include "runtime/task.h"
#include "runtime/wait_list.h"
#include "tests/interleave/explorer.h"

namespace sluice::runtime::interleave {

// A thread of the explorer in the part of a task.
struct CheckedTask : Task {
    CheckedAtomic<bool> runnable{false};
    bool unparked_twice = false;
    unsigned parks = 0;
};

// CheckedHost: OnTasks for the threads of an explorer. One set of tasks for each run, made current by the
// program that is about to run.
template <Without kWithout = Without::nothing>
struct CheckedHost {
    using Atomics = CheckedAtomics<kWithout>;
    struct Backoff {
        void pause() { Atomics::pause(); }
    };
    using Lock = BasicSpinLock<Atomics, Backoff>;
    using Tasks = std::array<CheckedTask, 4>;
    static constexpr unsigned kBargesMax = 1;  // so that a lock is handed over within few steps

    inline static Tasks* tasks = nullptr;

    static CheckedTask* waiting_task() { return &(*tasks)[Explorer::current()->running()]; }

    static void park(WaitReason, const void*, Commit commit, void* arg) {
        CheckedTask* const self = waiting_task();
        if (commit(arg, self)) sleep(*self);
    }

    static Outcome park_until(WaitReason, const void*, Waiter& waiter, Time, Commit commit, void* arg) {
        CheckedTask* const self = waiting_task();
        if (!commit(arg, self)) {
            self->wait.claim(waiter.ticket, Outcome::woken);
        } else {
            self->wait.expose(waiter.ticket);
            sleep(*self);
        }
        return self->wait.outcome();
    }

    static void unpark(Task* task) {
        auto& woken = static_cast<CheckedTask&>(*task);
        woken.unparked_twice |= woken.runnable.exchange(true);
    }

    // As runtime::cancel(), of a request that is seen at once.
    static void cancel(CheckedTask& task) {
        Explorer::current()->step();
        if (task.wait.cancel_exposed()) unpark(&task);
    }

    static Time now() { return Time{}; }
    static bool alone() { return true; }

  private:
    static void sleep(CheckedTask& self) {
        ++self.parks;
        while (!self.runnable.load()) Atomics::pause();
        self.runnable.exchange(false);
    }
};

}  // namespace sluice::runtime::interleave
