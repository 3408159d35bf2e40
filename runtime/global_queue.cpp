#include <mutex>

#include "runtime/scheduler_state.h"

namespace sluice::runtime {

void GlobalQueue::push(TaskList&& tasks) {
    std::lock_guard lock(lock_);
    tasks_.append(std::move(tasks));
    note_size();
}

void GlobalQueue::push_newborn(TaskList&& tasks) {
    // Linked both ways before the lock is taken: first to last, as they came.
    Task* const first = tasks.pop();
    if (first == nullptr) return;
    std::size_t count = 1;
    Task* last = first;
    first->previous = nullptr;
    for (Task* task; (task = tasks.pop()) != nullptr; ++count) {
        last->next = task;
        task->previous = last;
        last = task;
    }
    std::lock_guard lock(lock_);
    last->next = youngest_;
    (youngest_ == nullptr ? oldest_ : youngest_->previous) = last;
    youngest_ = first;
    newborn_ += count;
    note_size();
}

Task* GlobalQueue::pop_newborn() {
    Task* const task = youngest_;
    if (task == nullptr) return nullptr;
    youngest_ = task->next;
    (youngest_ == nullptr ? oldest_ : youngest_->previous) = nullptr;
    --newborn_;
    return task;
}

Task* GlobalQueue::pop_oldest_newborn() {
    Task* const task = oldest_;
    if (task == nullptr) return nullptr;
    oldest_ = task->previous;
    (oldest_ == nullptr ? youngest_ : oldest_->next) = nullptr;
    --newborn_;
    return task;
}

TaskList GlobalQueue::take(std::size_t most) {
    TaskList taken;
    if (empty()) return taken;
    std::lock_guard lock(lock_);
    while (taken.size() < most) {
        Task* task = tasks_.pop();
        if (task == nullptr) task = pop_newborn();
        if (task == nullptr) break;
        taken.push(task);
    }
    note_size();
    return taken;
}

Task* GlobalQueue::take_oldest() {
    if (empty()) return nullptr;
    std::lock_guard lock(lock_);
    Task* task = ++turn_ % kNewbornTurn == 0 ? pop_oldest_newborn() : nullptr;
    if (task == nullptr) task = tasks_.pop();
    note_size();
    return task;
}

}  // namespace sluice::runtime
