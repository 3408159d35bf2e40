#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "runtime/go.h"
#include "runtime/task.h"
#include "runtime/time.h"

namespace sluice::runtime {

class Worker;

struct Options {
    // Threads that run tasks, at most 256. 0: as many as available_cpus() says; when that falls, as many
    // rest, until it rises again.
    unsigned workers = 0;
    std::size_t stack = 256 * 1024;  // bytes of virtual memory for a usual stack, rounded up to a page
    bool virtual_time =
        false;  // one worker; time stands still while a task can run, then jumps to the next timer
    std::uint64_t seed = 0;  // virtual time: the order of runnable tasks; 0: first come, first served

    // Called when an exception leaves a task other than main, on that task's stack. Null: one line on stderr,
    // with what() and where the task was spawned. Either way it is counted.
    void (*on_exception)(std::exception_ptr exception, const Task& task) = nullptr;
    bool abort_on_exception = false;  // end the process after that

    // Called, on a thread that is no worker, when all tasks are parked and nothing this scheduler knows of
    // can wake them: no timer, no socket or signal that is waited for, no call of blocking(). Once, until a
    // task has run again: another thread may still wake one. Null: a dump of the tasks on stderr. In virtual
    // time the process ends instead.
    void (*on_deadlock)(Scheduler& scheduler) = nullptr;

    // Where /proc and /sys are looked for, to learn the cgroup's quota: for tests.
    std::string system_root;
};

// Scheduler: runs tasks on a fixed set of threads, the workers.
//
//     Scheduler scheduler({.workers = 2});
//     scheduler.run([] { go(serve); go(sweep); });
class Scheduler {
  public:
    explicit Scheduler(Options options = {});
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // run() starts the workers, runs `main` as the first task, and returns when main and all other tasks have
    // ended; then it rethrows what left main. The calling thread waits meanwhile. May be called again
    // afterwards.
    template <class F>
    void run(F main) {
        run_main([](void* f) { std::move (*static_cast<F*>(f))(); }, &main, std::source_location::current());
    }

    // spawn() is go() from any thread, while run() is under way or before it.
    template <class... Args>
    void spawn(std::type_identity_t<Entry<Args...>> f, Args&&... args) {
        f.start(this, SpawnOptions{}, std::forward<Args>(args)...);
    }

    unsigned workers() const;
    // Those that run tasks at present: fewer than workers() after CPUs were taken away.
    unsigned active_workers() const;
    const Options& options() const;

    // hold(), release() bracket work outside the scheduler that will wake a task (a blocking call on another
    // thread): virtual time does not jump meanwhile. Any thread.
    void hold();
    void release();

    // The scheduler of the calling task, or worker; nullptr elsewhere.
    static Scheduler* current();

    struct State;
    State& state() { return *state_; }

  private:
    void run_main(void (*call)(void*), void* f, const std::source_location& where);

    std::unique_ptr<State> state_;
};

// worker_index() is 0..workers()-1 on a worker, and may be another after any park; kNoWorker, more than any,
// on other threads.
[[gnu::noinline]] unsigned worker_index();
inline constexpr unsigned kNoWorker = ~0U;

// available_cpus() is how many CPUs this process may use at a time: those of its affinity mask, or fewer when
// a cgroup quota (v1 or v2) allows less; at least 1.
// `system_root`: see Options.
unsigned available_cpus(const std::string& system_root = "");

}  // namespace sluice::runtime
