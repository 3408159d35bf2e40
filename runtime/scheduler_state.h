#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/blocking.h"
#include "runtime/idle_set.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "runtime/worker.h"

namespace sluice::runtime {

// GlobalQueue: runnable tasks that belong to no worker yet. Any thread.
class GlobalQueue {
  public:
    void push(TaskList&& tasks) {
        std::lock_guard lock(lock_);
        tasks_.append(std::move(tasks));
        size_.store(tasks_.size(), std::memory_order_release);
    }

    TaskList take(std::size_t most) {
        TaskList taken;
        if (empty()) return taken;
        std::lock_guard lock(lock_);
        while (taken.size() < most) {
            Task* const task = tasks_.pop();
            if (task == nullptr) break;
            taken.push(task);
        }
        size_.store(tasks_.size(), std::memory_order_release);
        return taken;
    }

    bool empty() const { return size() == 0; }
    std::size_t size() const { return size_.load(std::memory_order_acquire); }

  private:
    SpinLock lock_;
    TaskList tasks_;  // guarded by lock_
    std::atomic<std::size_t> size_{0};
};

// What the workers of one Scheduler share. Any thread.
struct Scheduler::State {
    State(Scheduler& scheduler, Options given);

    // inject() makes tasks runnable from a thread that is no worker, or that has too many.
    void inject(TaskList&& tasks);
    // work_published() wakes an idle worker after work was made visible: if nobody searches already, when the
    // caller is a worker, who will get to the work itself; in any case, when it is not.
    void work_published(bool by_worker);
    void interrupt(unsigned worker);
    void stop();

    void note_peak();

    // Tasks that have not ended: exact when it is 0, once main has ended.
    std::uint64_t live() const;

    // Fixed.
    const Options options;
    StackPool stacks;
    std::vector<std::unique_ptr<Worker>> workers;

    GlobalQueue queue;
    IdleSet idle;
    std::atomic<bool> main_ended{false};
    std::atomic<bool> stopping{false};
    std::atomic<std::uint64_t> spawned_outside{0};
    std::atomic<std::uint64_t> next_id{1};
    std::atomic<std::uint64_t> peak{0};
    std::atomic<std::int64_t> virtual_now{0};
    std::atomic<int> holds{0};
    std::exception_ptr main_failed;  // written by main's task, read after all threads have joined
    BlockingPool blocking;           // last: its threads, which end before the rest does, touch the rest
};

}  // namespace sluice::runtime
