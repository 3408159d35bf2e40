#pragma once

#include <atomic>
#include <exception>
#include <stop_token>
#include <type_traits>
#include <utility>

#include "runtime/go.h"
#include "runtime/mutex.h"
#include "runtime/wait_group.h"

namespace sluice::runtime {

// TaskGroup: tasks that end before the scope that started them does. The first of them that fails cancels the
// others.
//
//     TaskGroup group;
//     group.go([&] { first = fetch(a); });
//     group.go([&] { second = fetch(b); });
//     group.wait();  // throws what a fetch threw
//
// A task of a group can be cancelled: its waits that have a way to say so (of streams, channels, selects,
// sleeps, everything with a deadline) end early, now and from then on; what waits with no way to say so
// (Mutex::lock(), Semaphore::acquire(), blocking()) is not disturbed. It inherits the deadline of the task
// that started it; and when that task is itself cancelled, so is the group, as soon as it is waited for.
//
// Used by one task, its owner, but for cancel(), which any task may call while the group exists.
class TaskGroup {
  public:
    TaskGroup() = default;
    // Waits for the tasks; cancels them first when the scope is left by an exception. A failure that no
    // wait() has thrown is reported like an exception that leaves a task.
    ~TaskGroup();
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    // go() is runtime::go() for a task of this group. After cancel() the task starts cancelled.
    template <class... Args>
    void go(std::type_identity_t<Entry<Args...>> f, Args&&... args) {
        add();
        try {
            f.start(nullptr, SpawnOptions{.group = this}, std::forward<Args>(args)...);
        } catch (...) {
            running_.done();
            throw;
        }
    }

    // wait() parks until all tasks have ended, then throws what the first that failed has thrown. When the
    // calling task is cancelled, or its deadline passes, the tasks are cancelled, and still waited for. The
    // group can be used again afterwards, unless it was cancelled.
    void wait();

    // cancel() asks all its tasks to end, and those still to come.
    void cancel();
    bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

    // stop_token() is asked to stop by cancel(), once the tasks were; see this_task::stop_token(). Any task
    // of the group, and its owner.
    std::stop_token stop_token();

    // run_member() is the body of the group's task `self`, the calling one.
    void run_member(Task& self);

  private:
    struct Member;

    void add() { running_.add(); }
    void fail(std::exception_ptr error);
    void join();

    WaitGroup running_;
    std::atomic<bool> cancelled_{false};
    Mutex mutex_;
    Member* members_ = nullptr;                // guarded by mutex_, as below
    std::stop_source stop_{std::nostopstate};  // made when it is asked for
    std::exception_ptr error_;
    const int unwinding_ = std::uncaught_exceptions();
};

}  // namespace sluice::runtime
