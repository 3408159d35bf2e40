#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "runtime/poll_slot.h"
#include "runtime/run_queue.h"
#include "runtime/scheduler.h"
#include "runtime/time.h"

namespace sluice::runtime {

// Watcher: a thread beside the workers of one run(), which does what they cannot do for themselves:
//
// - A worker that has not left its task for kStaleAfter is stale: held up by a long loop or a blocking call.
//   What it has yet to run goes to the others, and the watcher serves its timers and sockets until it comes
//   back.
// - Stacks that were used deep and are not any more, of tasks parked for kParkedAfter and of the pool where
//   nobody used them for as long, are given back to the system but for their tops.
// - When all tasks are parked and nothing can wake them, it says so (Options::on_deadlock).
// - When the CPUs that this process may use become fewer, it has as many workers rest, until there are more.
//   A stale one does not count among those that go on.
//
// Looks every 10 ms while a worker is busy, four times a second while none is: a worker that gets stuck just
// then is seen that much later. Not in virtual time.
class Watcher {
  public:
    static constexpr Duration kStaleAfter = std::chrono::milliseconds(10);
    static constexpr Duration kParkedAfter = std::chrono::seconds(1);

    explicit Watcher(Scheduler& scheduler);
    // Waits for the thread to end.
    ~Watcher();
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;

  private:
    static constexpr std::uint64_t kNotStuck = ~std::uint64_t{0};

    struct Seen {
        std::uint64_t switches = 0;
        Time since{};
        bool stale = false;
    };

    void run();
    bool look_at_workers(Time now);
    void judge(unsigned worker, bool idle, Time now);
    void stand_in(unsigned worker, Time now);
    void start(Dormant* dormants);
    void look_at_stacks(Time now);
    void look_at_cpus(Time now);
    void look_for_deadlock();
    bool nothing_can_wake() const;
    std::uint64_t switches() const;
    Duration patience(bool busy, Time now) const;

    Scheduler& scheduler_;
    Scheduler::State& shared_;
    int epoll_ = -1;  // of the stale workers' epolls
    int stop_ = -1;
    std::atomic<bool> stopping_{false};

    // The thread's.
    std::vector<Seen> seen_;
    RunQueue<Task> loot_;  // on its way from a worker to all
    Woken unstarted_;      // of those that it stood in for: dormants for which there was no stack
    Time looked_{};        // at the workers
    Time stacks_again_{};
    std::uint64_t switches_at_stacks_ = ~std::uint64_t{0};
    bool stacks_left_over_ = false;
    Time cpus_again_{};
    std::uint64_t switches_when_stuck_ = kNotStuck;
    bool deadlock_told_ = false;

    std::thread thread_;
};

}  // namespace sluice::runtime
