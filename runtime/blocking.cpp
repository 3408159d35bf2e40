#include "runtime/blocking.h"

#include <algorithm>
#include <exception>

#include "runtime/on_tasks.h"
#include "runtime/scheduler.h"
#include "runtime/scheduler_state.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

BlockingPool::~BlockingPool() {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    wake_.wait(lock, [this] { return threads_.empty(); });
    for (std::thread& thread : left_) thread.join();
}

bool BlockingPool::submit(BlockingJob& job) {
    Threads left;
    {
        std::lock_guard lock(mutex_);
        // Threads that are free and jobs that wait for them: one to one, until there are kThreadsMax, or none
        // was to be had.
        if (queued_ >= free_ && threads_.size() < kThreadsMax && !start_thread() && threads_.empty())
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
    Threads fresh;
    try {
        const Threads::iterator self = fresh.emplace(fresh.end());
        *self = std::thread([this, self] { serve(self); });
    } catch (const std::exception&) {  // no thread, or no memory for one
        return false;
    }
    threads_.splice(threads_.end(), fresh);
    ++free_;
    return true;
}

// On a thread of the pool.
void BlockingPool::perform(BlockingJob& job) {
    Task* const task = job.task;
    Scheduler& scheduler = *job.scheduler;
    const Ticket ticket = job.ticket;
    if (ticket != Waiter::kSole && !task->wait.waiting(ticket)) return job.destroy(job);
    job.run(job);
    job.done = true;
    if (ticket != Waiter::kSole && !task->wait.claim(ticket, Outcome::woken)) return job.destroy(job);
    unpark(task);
    scheduler.release();
}

void BlockingPool::serve(Threads::iterator self) {
    std::unique_lock lock(mutex_);
    while (BlockingJob* job = wait_for_job(lock)) {
        --free_;
        --queued_;
        lock.unlock();
        perform(*job);
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

namespace {

// Held until the wait has ended, by whoever ends it.
bool submit(void* arg, Task* task) {
    auto& job = *static_cast<BlockingJob*>(arg);
    Scheduler& scheduler = *task->scheduler;
    job.task = task;
    job.scheduler = &scheduler;
    scheduler.hold();
    if (scheduler.state().blocking.submit(job)) return true;
    scheduler.release();
    return false;
}

// No thread, not even a first one: better to hold up this worker than to fail.
void make_sure(BlockingJob& job) {
    if (!job.done) job.run(job);
}

}  // namespace

void block(BlockingJob& job) {
    park(WaitReason::blocking, &job, &submit, &job);
    make_sure(job);
}

bool block_until(BlockingJob& job, Time deadline) {
    if (this_task::cancelled() || std::min(deadline, this_task::deadline()) <= now()) {
        job.destroy(job);
        return false;
    }
    Waiter waiter(waiting_task());
    job.ticket = waiter.ticket;
    if (park_until(WaitReason::blocking, &job, waiter, deadline, &submit, &job) != Outcome::woken) {
        waiter.task->scheduler->release();
        return false;
    }
    make_sure(job);
    return true;
}

}  // namespace detail

}  // namespace sluice::runtime
