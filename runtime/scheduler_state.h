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

// GlobalQueue: runnable tasks that belong to no worker. Any thread.
//
// Those that have run before, or come from outside, are taken first come, first served. The newborn that did
// not fit a ring wait apart and are taken last come, first served, after the others: finishing what was begun
// last before beginning more keeps a tree of tasks as deep as it is high instead of as wide as it is large
// (a million tasks of skynet: 2,000 stacks at a time instead of 140,000, and a quarter of the time). So that
// nobody starves, take_oldest() serves who waits longest, every kNewbornTurn-th time the oldest newborn: not
// oftener, for each may be the root of a tree of its own.
class GlobalQueue {
  public:
    void push(TaskList&& tasks);
    // push_newborn() puts the list before all newborn that wait.
    void push_newborn(TaskList&& tasks);

    TaskList take(std::size_t most);
    // Nullptr when only newborn wait whose turn it is not, or nobody.
    Task* take_oldest();

    bool empty() const { return size() == 0; }
    std::size_t size() const { return size_.load(std::memory_order_acquire); }

  private:
    static constexpr unsigned kNewbornTurn = 64;

    Task* pop_newborn();
    Task* pop_oldest_newborn();
    void note_size() { size_.store(tasks_.size() + newborn_, std::memory_order_release); }

    SpinLock lock_;
    TaskList tasks_;  // guarded by lock_, as all below
    Task* youngest_ = nullptr;
    Task* oldest_ = nullptr;
    std::size_t newborn_ = 0;
    unsigned turn_ = 0;
    std::atomic<std::size_t> size_{0};  // read without the lock
};

// What the workers of one Scheduler share. Any thread.
struct Scheduler::State {
    explicit State(Options given);

    // inject() makes tasks runnable from a thread that is no worker, or that has too many.
    void inject(TaskList&& tasks);
    // work_published() wakes an idle worker after work was made visible: if nobody searches already, when the
    // caller is a worker, who will get to the work itself; in any case, when it is not.
    void work_published(bool by_worker);
    void interrupt(unsigned worker);
    // activate() has the first `count` workers run tasks, and the others rest.
    void activate(unsigned count);
    void stop();

    void note_peak();

    // Tasks that have not ended: exact when it is 0, once main has ended.
    std::uint64_t live() const;

    // Fixed.
    const Options options;
    const bool follows_cpus;  // the number of workers was not given
    StackPool stacks;
    std::vector<std::unique_ptr<Worker>> workers;

    GlobalQueue queue;
    IdleSet idle;
    std::atomic<unsigned> active;  // the workers that run tasks: the first so many
    std::atomic<bool> main_ended{false};
    std::atomic<bool> stopping{false};
    std::atomic<std::uint64_t> spawned_outside{0};
    std::atomic<std::uint64_t> next_id{1};
    std::atomic<std::uint64_t> peak{0};
    std::atomic<std::int64_t> virtual_now{0};
    std::atomic<int> holds{0};
    std::atomic<bool> traced{false};  // a trace is under way
    std::atomic<unsigned> injected{0};
    std::atomic<std::uint64_t> stale_workers{0};  // how often a worker was found stale
    std::exception_ptr main_failed;  // written by main's task, read after all threads have joined
    std::once_flag asio_once;
    std::shared_ptr<void> asio;  // asio.h's context: its threads end before all above
    BlockingPool blocking;       // last: its threads, which end before the rest does, touch the rest
};

}  // namespace sluice::runtime
