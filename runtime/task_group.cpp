#include "runtime/task_group.h"

#include <mutex>

#include "runtime/this_task.h"

namespace sluice::runtime {

// On the stack of each task of the group while it runs, in the list that cancel() walks.
struct TaskGroup::Member {
    Task* task;
    Member* next = nullptr;
    Member** previous = nullptr;
};

TaskGroup::~TaskGroup() {
    if (std::uncaught_exceptions() > unwinding_) cancel();
    join();
    if (error_ == nullptr) return;
    try {
        std::rethrow_exception(std::move(error_));
    } catch (...) {
        detail::report_uncaught(*current_task());
    }
}

void TaskGroup::run_member(Task& self) {
    Member member{&self};
    {
        std::lock_guard lock(mutex_);
        member.next = members_;
        member.previous = &members_;
        if (members_ != nullptr) members_->previous = &member.next;
        members_ = &member;
        // Seen by whoever cancelled before this task was in the list; cancel() sees those that are.
        if (cancelled_.load(std::memory_order_relaxed)) runtime::cancel(&self);
    }
    std::exception_ptr error;
    try {
        self.body(self.closure);
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr) fail(std::move(error));
    {
        std::lock_guard lock(mutex_);
        *member.previous = member.next;
        if (member.next != nullptr) member.next->previous = member.previous;
    }
    running_.done();  // the last access: the group may be gone now
}

void TaskGroup::fail(std::exception_ptr error) {
    {
        std::lock_guard lock(mutex_);
        if (error_ == nullptr) error_ = std::move(error);
    }
    cancel();
}

void TaskGroup::cancel() {
    std::stop_source stop(std::nostopstate);
    {
        std::lock_guard lock(mutex_);
        cancelled_.store(true, std::memory_order_release);
        for (const Member* member = members_; member != nullptr; member = member->next) {
            runtime::cancel(member->task);
        }
        stop = stop_;
    }
    stop.request_stop();  // without the lock: calls whatever was registered
}

std::stop_token TaskGroup::stop_token() {
    std::lock_guard lock(mutex_);
    if (!stop_.stop_possible()) {
        stop_ = std::stop_source();
        if (cancelled_.load(std::memory_order_relaxed)) stop_.request_stop();
    }
    return stop_.get_token();
}

void TaskGroup::join() {
    if (running_.wait_until(kNever)) return;
    cancel();  // our own task was cancelled, or is out of time
    running_.wait();
}

void TaskGroup::wait() {
    join();
    std::exception_ptr error;
    {
        std::lock_guard lock(mutex_);
        error = std::exchange(error_, nullptr);
    }
    if (error != nullptr) std::rethrow_exception(std::move(error));
}

}  // namespace sluice::runtime
