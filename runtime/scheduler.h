#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include "runtime/go.h"
#include "runtime/task.h"
#include "runtime/time.h"

namespace sluice::runtime {

class Worker;

struct Options {
    unsigned workers = 0;            // threads that run tasks; 0: available_cpus(). At most 256
    std::size_t stack = 256 * 1024;  // bytes of virtual memory for a usual stack, rounded up to a page
    bool virtual_time =
        false;  // one worker; time stands still while a task can run, then jumps to the next timer
    std::uint64_t seed = 0;  // virtual time: the order of runnable tasks; 0: first come, first served

    // Called when an exception leaves a task other than main, on that task's stack. Null: one line on stderr,
    // with what() and where the task was spawned. Either way it is counted.
    void (*on_exception)(std::exception_ptr exception, const Task& task) = nullptr;
    bool abort_on_exception = false;  // end the process after that
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

// worker_index() is 0..workers()-1 on a worker, and may be another after any park. A thread that is no worker
// gets the workers() of the scheduler made last: one past the shards that workers use.
[[gnu::noinline]] unsigned worker_index();

// available_cpus() is how many CPUs this process may use at a time: those of its affinity mask, or fewer when
// a cgroup quota (v1 or v2) allows less; at least 1.
unsigned available_cpus();

}  // namespace sluice::runtime
