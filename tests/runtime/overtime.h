#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "runtime/inspect.h"
#include "runtime/scheduler.h"

namespace sluice::runtime {

// Overtime: while it lives, a thread that after `limit` writes a scheduler's tasks to stderr and ends the
// process: ctest, whose own limit is longer, would end it without a word about where the test hangs.
class Overtime {
  public:
    static constexpr std::chrono::seconds kLimit{240};

    explicit Overtime(Scheduler& scheduler, std::chrono::milliseconds limit = kLimit)
        : thread_([this, &scheduler, limit] { wait(scheduler, limit); }) {}
    ~Overtime() {
        {
            std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    Overtime(const Overtime&) = delete;
    Overtime& operator=(const Overtime&) = delete;

  private:
    void wait(Scheduler& scheduler, std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, limit, [this] { return over_; })) return;
        std::fprintf(stderr, "the test has not ended in time; its tasks:\n%s", dump(scheduler).c_str());
        std::abort();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;  // guarded by mutex_
    std::thread thread_;
};

// TimedScheduler: a Scheduler whose tests do not hang without a word.
class TimedScheduler : public Scheduler {
  public:
    using Scheduler::Scheduler;

  private:
    const Overtime overtime_{*this};
};

}  // namespace sluice::runtime
