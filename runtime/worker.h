#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include <sched.h>

#include "runtime/barrier.h"
#include "runtime/context.h"
#include "runtime/count.h"
#include "runtime/delay.h"
#include "runtime/loot.h"
#include "runtime/netpoller.h"
#include "runtime/next_slot.h"
#include "runtime/run_queue.h"
#include "runtime/scheduler.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/timer_queue.h"
#include "runtime/trace.h"

namespace sluice::runtime {

#ifdef SLUICE_FORCE_MIGRATION
inline constexpr bool kForceMigration = true;
#else
inline constexpr bool kForceMigration = false;
#endif

// Worker: one thread that runs tasks: finds one, switches to it, and, when nothing is runnable, waits for its
// sockets and timers. Everything is the owning thread's but what says otherwise.
//
// Where a worker finds its next task:
//   1. its next-slot: what the running task woke last; at most 3 times in a row, then the ring's turn comes
//   2. its ring, first in, first out
//   3. the global queue: what other threads made runnable, and what did not fit a ring
//   4. half of another worker's ring
//   5. its netpoller and timers, waiting there when nothing came of 1 to 4
// A worker whose loot was done in no time leaves the others alone for 200 µs, and waits at its netpoller.
// A batch of at most 61 tasks, meant to last 200 µs at most, is dispatched before sockets, timers and the
// global queue are looked at in any case, so that tasks that wake each other without end starve none of
// these.
class alignas(64) Worker {
  public:
    Worker(Scheduler& scheduler, unsigned index);
    ~Worker();

    // The worker of this thread, nullptr on others. Never inlined: see current_task().
    [[gnu::noinline]] static Worker* here();

    void run();  // the thread's body; returns when the scheduler stops

    Time now() const { return virtual_ ? virtual_now() : steady_now(); }

    // What is done with a task once its stack has been left.
    enum class After : std::uint8_t { park, park_until, yield, exit };
    // leave() goes from the stack of `self` to the next task, or to the loop, and returns when `self` runs
    // again.
    void leave(Task* self, After after, bool last = false);
    // arrived() is what every flow does first when it was switched to.
    void arrived() {
        if (departed_ != nullptr) settle(std::exchange(departed_, nullptr));
        current_ = incoming_;
        if constexpr (kForceMigration) note_worker();
    }
    // yield() lets the others of this worker go first; nothing but a count when there are none.
    void yield() { return unshared_ && next_slot_.empty() ? yield_unshared() : yield_shared(); }

    // What park() and park_until() hand to their After.
    struct Departure {
        Commit commit = nullptr;
        void* arg = nullptr;
        Ticket ticket = 0;
        Time deadline = kNever;
        Timer* timer = nullptr;
        bool cancellable = false;
    };
    Departure departure;

    // wake() makes a task runnable, to run next; enqueue(), to run in turn.
    void wake(Task* task);
    void enqueue(Task* task);
    // take_in() makes everything in `woken` runnable.
    void take_in(Woken& woken);

    // Throws std::bad_alloc where there is no memory for more stacks.
    Task* take_stack(unsigned stack_class);
    void give_stack(Task* task);
    std::uint64_t next_id();
    // Of little quality; in virtual time it follows from the seed.
    std::uint64_t random();

    // Whether a task that spawns one after another should let others run first, so that their stacks can be
    // used again.
    bool crowded() { return ++spawned_in_a_row_ >= kSpawnsInARow && ring_.size() >= kSpawnsInARow; }

    Task* current() const { return current_; }
    Scheduler& scheduler() const { return scheduler_; }
    unsigned index() const { return index_; }
    TimerQueue& timers() { return timers_; }
    Netpoller& poller() { return poller_; }
    // The clock as of the last look at it, for `since`; up to a batch old.
    std::int64_t clock() const { return clock_; }

    // Any thread.
    // resting() is whether this worker is one of those that are not to run tasks just now. It watches its
    // sockets and timers all the same, and what they wake goes to the others.
    bool resting() const { return resting_.load(std::memory_order_acquire); }
    bool has_posted() const { return posted_.load(std::memory_order_acquire); }
    bool has_ring_work() const { return !ring_.empty(); }
    Task* steal_into(RunQueue<Task>& thief) { return ring_.steal_half(thief); }
    // For the watcher, when this worker is stuck: what its next-slot and its inbox hold.
    Task* steal_next() { return next_slot_.steal(); }
    Task* take_posted();
    void post(Task* task);  // into the inbox

    struct Stats {
        Count spawned, ended, steals, naps, parks, switches, polls, uncaught;
    };
    Stats stats;
    DelayHistogram delays;
    TraceRing trace;

  private:
    Time virtual_now() const;
    Task* find_work();
    Task* end_batch();
    Task* next_local();
    Task* next_at_random();
    Task* take_global();
    Task* steal();
    void end_search();

    bool retired() const;
    void hand_over_and_rest();
    void rest();
    void watch_own(Time longest, Woken& woken);
    void rest_in_virtual_time();
    bool work_anywhere() const;
    bool has_local_work() const { return !next_slot_.empty() || !ring_.empty(); }
    Time time_to_rest(Woken& woken);
    void start_dormants();
    void look_at_timers(Time now);
    void poll();
    void stop_if_done();
    [[noreturn]] void report_deadlock();

    void settle(Task* departed);
    void note_worker();
    void yield_unshared();
    void yield_shared();
    void after_park(Task* task);
    void after_park_until(Task* task);
    void after_exit(Task* task);

    // With while_held()'s look at the state: either it sees that the task runs, or this sees that the task is
    // held, and waits for the few microseconds that takes.
    void before_running(Task& task) {
        task.state.store(TaskState::running, std::memory_order_relaxed);
        light_barrier();
        while (task.held.load(std::memory_order_acquire) != 0) [[unlikely]]
            ::sched_yield();
        if (task.runnable_since != 0) [[unlikely]]
            note_delay(task);
    }
    void note_runnable(Task& task) {
        if (--until_sample_ == 0) [[unlikely]]
            note_runnable_since(task);
    }
    void note_runnable_since(Task& task);
    void note_delay(Task& task);
    void trace_run(const Task& task, TraceEvent::Kind ends);
    void run_task(Task* task);
    void push(Task* task);  // into the ring, telling nobody
    void overflow(Task* task);

    static constexpr int kBatch = 61;
    static constexpr int kNextSlotInARow = 3;
    static constexpr unsigned kSpawnsInARow = 48;  // the stacks of so many stay in the nearest cache

    // Fixed.
    Scheduler& scheduler_;
    Scheduler::State& shared_;
    const unsigned index_;
    const bool alone_;    // the only worker: nobody steals
    const bool virtual_;  // virtual time
    const bool shuffled_;
    const bool unshared_;  // alone_, and first come, first served

    // Owner only.
    Context home_;
    ExceptionGlobals* globals_ = nullptr;  // of the thread
    Task* current_ = nullptr;
    Task* incoming_ = nullptr;  // becomes current when its stack is reached
    Task* departed_ = nullptr;
    After after_ = After::park;
    NextSlot<Task> next_slot_;  // the watcher steals
    int in_a_row_ = 0;
    unsigned spawned_in_a_row_ = 0;
    int budget_ = 0;
    int batch_ = kBatch;
    bool searching_ = false;
    Loot loot_;
    int until_sample_ = kDelaySampledEvery;
    Time run_began_{};  // of the running task, while there is a trace
    std::uint64_t random_;
    std::int64_t clock_ = 0;
    Time batch_began_{};
    Time polled_{};
    std::uint64_t next_id_ = 0;
    std::uint64_t last_id_ = 0;
    std::array<HotStacks, kStackClasses> hot_;
    Woken unstarted_;               // dormants that were woken and have no stack yet
    std::vector<Task*> at_random_;  // virtual time with a seed: the runnable tasks

    RunQueue<Task> ring_;  // others steal

    SpinLock inbox_lock_;
    TaskList inbox_;  // guarded by inbox_lock_
    std::atomic<bool> posted_{false};
    std::atomic<bool> resting_{false};

    TimerQueue timers_;
    Netpoller poller_;
};

// How long who needs a stack, and found no memory for one, waits before it tries again.
inline constexpr Duration kStackPatience = std::chrono::milliseconds(10);

// deliver() makes everything in `woken` runnable, from any thread.
void deliver(Scheduler& scheduler, Woken& woken);
// start_dormant() runs dormant.wake() in a new task, from any thread. False: there is no memory for a stack.
bool start_dormant(Scheduler& scheduler, Dormant& dormant);

}  // namespace sluice::runtime
