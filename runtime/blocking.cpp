#include "runtime/blocking.h"

#include <system_error>

#include "runtime/check.h"
#include "runtime/scheduler.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

BlockingPool::~BlockingPool() {
    std::unique_lock lock(mutex_);
    SLUICE_CHECK(first_ == nullptr, "a scheduler ended before its blocking calls");
    stopping_ = true;
    wake_.notify_all();
    wake_.wait(lock, [this] { return threads_.empty(); });
    for (std::thread& thread : left_) thread.join();
}

bool BlockingPool::submit(BlockingJob& job) {
    Threads left;
    {
        std::lock_guard lock(mutex_);
        // Threads that are free and jobs that wait for them: one to one, until there are kThreadsMax.
        if (queued_ == free_ && threads_.size() < kThreadsMax && !start_thread() && threads_.empty())
            return false;
        job.next = nullptr;
        (first_ == nullptr ? first_ : last_->next) = &job;
        last_ = &job;
        ++queued_;
        ++jobs_;
        wake_.notify_one();
        left.swap(left_);
    }
    for (std::thread& thread : left) thread.join();  // they have nothing left to do but to return
    return true;
}

bool BlockingPool::start_thread() {
    Threads::iterator self = threads_.emplace(threads_.end());
    try {
        *self = std::thread([this, self] { serve(self); });
    } catch (const std::system_error&) {
        threads_.erase(self);
        return false;
    }
    ++free_;
    return true;
}

void BlockingPool::serve(Threads::iterator self) {
    std::unique_lock lock(mutex_);
    while (BlockingJob* job = wait_for_job(lock)) {
        --free_;
        --queued_;
        lock.unlock();
        job->run(*job);
        job->done = true;
        Task* task = job->task;
        Scheduler& scheduler = *task->scheduler;
        unpark(task);
        scheduler.release();
        lock.lock();
        ++free_;
    }
    --free_;
    left_.splice(left_.end(), threads_, self);
    if (stopping_) wake_.notify_all();
}

// Nullptr: leave.
BlockingJob* BlockingPool::wait_for_job(std::unique_lock<std::mutex>& lock) {
    while (first_ == nullptr) {
        if (stopping_) return nullptr;
        if (wake_.wait_for(lock, kIdleMax) == std::cv_status::timeout && first_ == nullptr) return nullptr;
    }
    BlockingJob* job = first_;
    first_ = job->next;
    return job;
}

std::uint64_t BlockingPool::jobs() const {
    std::lock_guard lock(mutex_);
    return jobs_;
}

std::size_t BlockingPool::threads() const {
    std::lock_guard lock(mutex_);
    return threads_.size();
}

namespace detail {

void block(BlockingJob& job) {
    auto commit = [](void* arg, Task* task) {
        auto& self = *static_cast<BlockingJob*>(arg);
        self.task = task;
        Scheduler& scheduler = *task->scheduler;
        scheduler.hold();
        if (scheduler.state().blocking.submit(self)) return true;
        scheduler.release();
        return false;
    };
    park(WaitReason::blocking, &job, commit, &job);
    // No thread, not even a first one: better to hold up this worker than to fail.
    if (!job.done) job.run(job);
}

}  // namespace detail

}  // namespace sluice::runtime
