#include "runtime/task.h"

#include <algorithm>

#include "runtime/check.h"
#include "runtime/scheduler_state.h"
#include "runtime/this_task.h"
#include "runtime/timer_queue.h"

namespace sluice::runtime {

namespace {

// The timer of a wait with a deadline, on the waiting task's stack.
struct WaitTimer : Timer {
    WaitTimer(Task* t, Ticket of) : Timer(&fire_wait), task(t), ticket(of) {}

    static void fire_wait(Timer& timer, Time, Woken& woken) {
        auto& self = static_cast<WaitTimer&>(timer);
        if (self.task->wait.claim(self.ticket, Outcome::timed_out)) woken.tasks.push(self.task);
    }

    Task* task;
    Ticket ticket;
};

// Always a part of its caller, whose frame it notes: that is the innermost that stays until the task goes on.
[[gnu::always_inline]] inline Worker* begin_park(WaitReason reason, const void* what) {
    Worker* const worker = Worker::here();
    SLUICE_CHECK(worker != nullptr && worker->current() != nullptr, "only a task can park");
    Task* const self = worker->current();
    self->reason.store(reason, std::memory_order_relaxed);
    self->what.store(what, std::memory_order_relaxed);
    const auto depth = reinterpret_cast<char*>(self) - static_cast<char*>(__builtin_frame_address(0));
    self->parked_bytes.store(static_cast<std::uint32_t>(depth), std::memory_order_relaxed);
    self->since.store(worker->clock(), std::memory_order_relaxed);
    self->state.store(TaskState::parked, std::memory_order_release);  // with what is above: see read_frames()
    return worker;
}

bool always(void*, Task*) {
    return true;
}

}  // namespace

void park(WaitReason reason, const void* what, Commit commit, void* arg) {
    Worker* const worker = begin_park(reason, what);
    worker->departure.commit = commit;
    worker->departure.arg = arg;
    worker->leave(worker->current(), Worker::After::park);
}

Outcome park_until(WaitReason reason, const void* what, Waiter& waiter, Time deadline, Commit commit,
                   void* arg, Cancellable cancellable) {
    Worker* const worker = begin_park(reason, what);
    Task* const self = worker->current();
    SLUICE_CHECK(self == waiter.task && !waiter.sole(), "a task parks itself, on a wait it has opened");
    worker->departure = {.commit = commit,
                         .arg = arg,
                         .ticket = waiter.ticket,
                         .cancellable = cancellable == Cancellable::yes};
    if (cancellable == Cancellable::yes) deadline = std::min(deadline, self->deadline);
    if (deadline == kNever) {
        worker->leave(self, Worker::After::park_until);
        return self->wait.outcome();
    }
    WaitTimer timer(self, waiter.ticket);
    TimerQueue& timers = worker->timers();
    worker->departure.timer = &timer;
    worker->departure.deadline = deadline;
    worker->leave(self, Worker::After::park_until);
    const Outcome outcome = self->wait.outcome();
    // A timer that fired is out of the wheel, and was touched for the last time when it claimed the wait.
    if (outcome != Outcome::timed_out) timers.disarm(timer);
    return outcome;
}

void unpark(Task* task) {
    Worker* const worker = Worker::here();
    if (worker != nullptr && &worker->scheduler() == task->scheduler) return worker->wake(task);
    TaskList list;
    list.push(task);
    task->scheduler->state().inject(std::move(list));
}

void cancel(Task* task) {
    // seq_cst: pairs with the load in Worker::after_park_until(). Either that sees the request, or this sees
    // the wait exposed.
    task->cancel_requested.fetch_or(kCancelled, std::memory_order_seq_cst);
    if (task->wait.cancel_exposed()) unpark(task);
}

namespace this_task {

void yield() {
    Worker* const worker = Worker::here();
    SLUICE_CHECK(worker != nullptr && worker->current() != nullptr, "yield() is for tasks");
    worker->yield();
}

void sleep_for(Duration duration) {
    if (duration <= Duration::zero()) return yield();
    sleep_until(from_now(duration));
}

void sleep_until(Time time) {
    Waiter waiter(current_task());
    park_until(WaitReason::sleep, nullptr, waiter, time, &always, nullptr);
}

std::uint64_t id() {
    return current_task()->id.load(std::memory_order_relaxed);
}

bool cancelled() {
    return current_task()->cancel_requested.load(std::memory_order_relaxed) != 0;
}

Time since() {
    return Time(Duration(current_task()->since.load(std::memory_order_relaxed)));
}

Time deadline() {
    return current_task()->deadline;
}

DeadlineScope::DeadlineScope(Time deadline) : before_(current_task()->deadline) {
    current_task()->deadline = std::min(before_, deadline);
}

DeadlineScope::~DeadlineScope() {
    current_task()->deadline = before_;
}

}  // namespace this_task

}  // namespace sluice::runtime
