#include "runtime/worker.h"

#include "runtime/overflow.h"
#include "runtime/random.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

thread_local Worker* worker_of_thread = nullptr;

constexpr std::uint64_t kIdBlock = 1024;

}  // namespace

Worker* Worker::here() {
    asm volatile("" ::: "memory");
    return worker_of_thread;
}

Time Worker::virtual_now() const {
    return Time(Duration(shared_.virtual_now.load(std::memory_order_relaxed)));
}

Worker::Worker(Scheduler& scheduler, unsigned index)
    : scheduler_(scheduler),
      shared_(scheduler.state()),
      index_(index),
      alone_(shared_.options.workers == 1),
      virtual_(shared_.options.virtual_time),
      shuffled_(virtual_ && shared_.options.seed != 0),
      unshared_(alone_ && !shuffled_),
      random_(shared_.options.seed * 0x9e3779b97f4a7c15U + index + 1),
      timers_(now()),
      poller_(scheduler, timers_) {
    timers_.set_poller(poller_);
}

Worker::~Worker() = default;

void Worker::run() {
    const SignalStack signal_stack;
    worker_of_thread = this;
    globals_ = &exception_globals();
    adopt_thread(home_);
    while (Task* const task = find_work()) run_task(task);
    worker_of_thread = nullptr;
}

void Worker::note_runnable_since(Task& task) {
    until_sample_ = kDelaySampledEvery;
    if (!virtual_) task.runnable_since = steady_now().time_since_epoch().count();
}

void Worker::note_delay(Task& task) {
    delays.add(steady_now() - Time(Duration(std::exchange(task.runnable_since, 0))));
}

void Worker::trace_run(const Task& task, TraceEvent::Kind ends) {
    const Time now = steady_now();
    // A task that ran already when the trace began: from when is not known.
    if (run_began_ != Time{}) {
        trace.add({.began = run_began_,
                   .ended = now,
                   .task = task.id.load(std::memory_order_relaxed),
                   .file = task.file.load(std::memory_order_relaxed),
                   .line = task.line.load(std::memory_order_relaxed),
                   .kind = ends,
                   .reason = task.reason.load(std::memory_order_relaxed)});
    }
    run_began_ = now;  // of the next, if it is gone to directly
}

void Worker::run_task(Task* task) {
    before_running(*task);
    run_began_ = trace.on() ? steady_now() : Time{};
    incoming_ = task;
    switch_context(home_, task->context, *globals_);
    arrived();
}

void Worker::leave(Task* self, After after, bool last) {
    if (trace.on()) [[unlikely]]
        trace_run(*self, after == After::exit    ? TraceEvent::Kind::exit
                         : after == After::yield ? TraceEvent::Kind::yield
                                                 : TraceEvent::Kind::park);
    departed_ = self;
    after_ = after;
    current_ = nullptr;
    stats.switches.add();
    spawned_in_a_row_ = 0;
    // Straight to the next task where there is one: that spares the way over the loop's stack.
    Task* const next = --budget_ > 0 && !shuffled_ ? next_local() : nullptr;
    if (next != nullptr) before_running(*next);
    incoming_ = next;
    switch_context(self->context, next != nullptr ? next->context : home_, *globals_, last);
    here()->arrived();
}

void Worker::yield_shared() {
    if (!has_local_work() && --budget_ > 0) return;
    leave(current_, After::yield);
}

// Nobody steals from this worker, so the task may be queued while it is still on its stack: there is nothing
// to settle on the stack arrived at. A third of the instructions of leave().
void Worker::yield_unshared() {
    if (--budget_ <= 0) return leave(current_, After::yield);
    Task* const self = current_;
    Task* const next = ring_.rotate_unshared(self);
    if (next == nullptr) return;
    if (trace.on()) [[unlikely]]
        trace_run(*self, TraceEvent::Kind::yield);
    self->state.store(TaskState::runnable, std::memory_order_relaxed);
    stats.switches.add();
    in_a_row_ = 0;
    spawned_in_a_row_ = 0;
    before_running(*next);
    incoming_ = next;
    switch_context(self->context, next->context, *globals_);
    arrived();
}

// What is left to do for a task that has left its stack.
void Worker::settle(Task* departed) {
    switch (after_) {
        case After::park: after_park(departed); break;
        case After::park_until: after_park_until(departed); break;
        case After::yield: enqueue(departed); break;
        case After::exit: after_exit(departed); break;
    }
}

void Worker::note_worker() {
    if (current_ != nullptr) current_->last_worker = index_;
}

void Worker::after_park(Task* task) {
    stats.parks.add();
    if (!departure.commit(departure.arg, task)) wake(task);
}

void Worker::after_park_until(Task* task) {
    stats.parks.add();
    const Departure left = departure;  // the commit may let the next departure happen
    if (!left.commit(left.arg, task)) {
        task->wait.claim(left.ticket, Outcome::woken);  // false: the commit has said how it ended
        wake(task);
        return;
    }
    // From here on the task may be running elsewhere, or gone: only its wait word tells.
    if (left.timer != nullptr) timers_.arm_while_waiting(*left.timer, left.deadline, task->wait, left.ticket);
    if (!left.cancellable || !task->wait.expose(left.ticket)) return;
    // seq_cst: pairs with the store in cancel(), which comes before its look at the wait word.
    if (task->cancel_requested.load(std::memory_order_seq_cst) &&
        task->wait.claim(left.ticket, Outcome::cancelled)) {
        wake(task);
    }
}

void Worker::after_exit(Task* task) {
    task->id.store(0, std::memory_order_relaxed);
    task->since.store(clock_, std::memory_order_relaxed);
    task->state.store(TaskState::free, std::memory_order_relaxed);
    forget_context(task->context, false);
    give_stack(task);
    stats.ended.add();
}

void Worker::wake(Task* task) {
    task->state.store(TaskState::runnable, std::memory_order_relaxed);
    note_runnable(*task);
    if (kForceMigration && !alone_) {
        const unsigned other = (task->last_worker + 1) % shared_.options.workers;
        shared_.workers[other]->post(task);
        return;
    }
    Task* const former = next_slot_.put(task);
    if (former != nullptr) enqueue(former);
}

void Worker::enqueue(Task* task) {
    push(task);
    if (!alone_) shared_.work_published(true);
}

void Worker::push(Task* task) {
    task->state.store(TaskState::runnable, std::memory_order_relaxed);
    if (!ring_.push(task)) overflow(task);
}

void Worker::overflow(Task* task) {
    TaskList older;
    TaskList newborn;
    ring_.spill_half([&](Task* t) { (t->newborn ? newborn : older).push(t); });
    (task->newborn ? newborn : older).push(task);
    if (!newborn.empty()) shared_.queue.push_newborn(std::move(newborn));
    if (!older.empty()) shared_.queue.push(std::move(older));
}

void Worker::post(Task* task) {
    {
        std::lock_guard lock(inbox_lock_);
        inbox_.push(task);
        posted_.store(true, std::memory_order_seq_cst);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // as in Scheduler::State::work_published()
    if (shared_.idle.claim_this(index_) || resting()) shared_.interrupt(index_);
}

Task* Worker::take_posted() {
    if (!posted_.load(std::memory_order_acquire)) return nullptr;
    std::lock_guard lock(inbox_lock_);
    Task* const task = inbox_.pop();
    posted_.store(!inbox_.empty(), std::memory_order_relaxed);
    return task;
}

void Worker::take_in(Woken& woken) {
    // A worker with nothing else to do runs a single woken task itself: waking another would cost a system
    // call for nothing. If a dormant was woken too, there is work for two.
    const bool busy = current_ != nullptr || incoming_ != nullptr || has_local_work();
    const bool single = !busy && woken.dormants == nullptr;
    const bool publish = !alone_ && woken.tasks.size() > (single ? 1U : 0U);
    while (Task* const task = woken.tasks.pop()) {
        if constexpr (kForceMigration) {
            wake(task);
        } else {
            note_runnable(*task);
            push(task);
        }
    }
    if (publish) shared_.work_published(true);
    while (Dormant* const dormant = woken.dormants) {
        woken.dormants = dormant->next;  // the dormant is its owner's again as soon as it is launched
        // A task that calls this may by now be another worker's.
        if (!start_dormant(scheduler_, *dormant)) [[unlikely]]
            here()->unstarted_.add(*dormant, dormant->why);
    }
    woken.dormants_end = &woken.dormants;
}

// Those for which there was no stack.
void Worker::start_dormants() {
    while (Dormant* const dormant = unstarted_.dormants) {
        Dormant* const next = dormant->next;
        if (!start_dormant(scheduler_, *dormant)) return;
        unstarted_.dormants = next;
    }
    unstarted_.dormants_end = &unstarted_.dormants;
}

Task* Worker::next_local() {
    if (Task* const task = next_slot_.take()) {
        // With nobody in the ring there is nobody to be fair to. Queueing the task all the same would publish
        // it, and the next worker would wake up and carry off one end of a conversation.
        if (ring_.empty() || in_a_row_++ < kNextSlotInARow) return task;
        enqueue(task);
    }
    in_a_row_ = 0;
    return alone_ ? ring_.pop_unshared() : ring_.pop();
}

Task* Worker::take_stack(unsigned stack_class) {
    HotStacks& hot = hot_[stack_class];
    if (hot.empty()) {
        hot.fill([&](std::span<Task*> into) { return shared_.stacks.take(stack_class, into); });
        shared_.note_peak();
    }
    return hot.pop();
}

void Worker::give_stack(Task* task) {
    HotStacks& hot = hot_[task->stack_class];
    hot.push(task);
    if (hot.full())
        hot.spill([&](std::span<Task* const> bag) { shared_.stacks.give(task->stack_class, bag); });
}

std::uint64_t Worker::random() {
    return next_random(random_) >> 16;
}

std::uint64_t Worker::next_id() {
    if (next_id_ == last_id_) {
        next_id_ = shared_.next_id.fetch_add(kIdBlock, std::memory_order_relaxed);
        last_id_ = next_id_ + kIdBlock;
    }
    return next_id_++;
}

Task* current_task() {
    const Worker* const worker = Worker::here();
    return worker != nullptr ? worker->current() : nullptr;
}

}  // namespace sluice::runtime
