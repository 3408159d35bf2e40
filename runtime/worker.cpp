#include "runtime/worker.h"

#include <algorithm>
#include <cstdio>
#include <ctime>

#include <sched.h>

#include "runtime/check.h"
#include "runtime/inspect.h"
#include "runtime/overflow.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

thread_local Worker* worker_of_thread = nullptr;

constexpr Duration kBatchTime = std::chrono::microseconds(200);
constexpr Duration kPollEvery = std::chrono::microseconds(50);
constexpr std::size_t kGlobalShare = 128;
constexpr std::uint64_t kIdBlock = 1024;

// The steady clock as of the last tick of the kernel: 4 ms behind at most, at a fifth of the cost.
std::int64_t coarse_clock() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Time steady_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

// xorshift64: for the order of victims and for the seeded order, where nothing depends on its quality.
std::uint64_t next_random(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

}  // namespace

Worker* Worker::here() {
    asm volatile("" ::: "memory");
    return worker_of_thread;
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
      timers_(virtual_ ? Time(Duration(shared_.virtual_now.load())) : steady_now()),
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

// With the watcher's look at the state: either it sees that the task runs, or this sees that it is at the
// task's stack, and waits for the few microseconds that takes.
void Worker::before_running(Task& task) {
    task.state.store(TaskState::running, std::memory_order_relaxed);
    light_barrier();
    while (task.trimming.load(std::memory_order_acquire)) [[unlikely]]
        ::sched_yield();
    if (task.runnable_since != 0) [[unlikely]]
        note_delay(task);
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
    // A single task that a worker with nothing else to do was woken for is no work for another: waking that
    // would cost a system call, and find nothing.
    const bool busy = current_ != nullptr || incoming_ != nullptr || has_local_work();
    const bool publish = !alone_ && woken.tasks.size() > (busy ? 0U : 1U);
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
        start_dormant(scheduler_, *dormant);
    }
    woken.dormants_end = &woken.dormants;
}

Task* Worker::next_local() {
    if (Task* const task = next_slot_.take()) {
        // With nobody in the ring there is nobody to be fair to. Queueing the task all the same would publish
        // it, and the next worker would wake up and carry off one end of a conversation.
        if (in_a_row_++ < kNextSlotInARow || ring_.empty()) return task;
        enqueue(task);
    }
    in_a_row_ = 0;
    return alone_ ? ring_.pop_unshared() : ring_.pop();
}

Task* Worker::next_at_random() {
    if (Task* const task = next_slot_.take()) at_random_.push_back(task);
    while (Task* const task = ring_.pop_unshared()) at_random_.push_back(task);
    if (at_random_.empty()) return nullptr;
    std::swap(at_random_[next_random(random_) % at_random_.size()], at_random_.back());
    Task* const task = at_random_.back();
    at_random_.pop_back();
    return task;
}

Task* Worker::find_work() {
    for (;;) {
        if (retired()) [[unlikely]] {
            if (shared_.stopping.load(std::memory_order_acquire)) return nullptr;
            hand_over_and_rest();
            continue;
        }
        if (budget_ <= 0) {
            if (Task* const task = end_batch()) return task;
        }
        Task* task = take_posted();
        if (task == nullptr) task = shuffled_ ? next_at_random() : next_local();
        if (task == nullptr) task = take_global();
        if (task == nullptr && !alone_) task = steal();
        if (task != nullptr) {
            --budget_;
            if (searching_) end_search();
            return task;
        }
        if (shared_.stopping.load(std::memory_order_acquire)) return nullptr;
        virtual_ ? rest_in_virtual_time() : rest();
    }
}

// What is due after every batch, however much is runnable here. The next batch is made as long as should take
// 200 µs, judged by this one.
Task* Worker::end_batch() {
    const Time now =
        virtual_ ? Time(Duration(shared_.virtual_now.load(std::memory_order_relaxed))) : steady_now();
    clock_ = now.time_since_epoch().count();
    if (batch_began_ != Time{} && now - batch_began_ > kBatchTime) {
        const auto fits = batch_ * kBatchTime.count() / (now - batch_began_).count();
        batch_ = std::max(1, static_cast<int>(fits));
    } else {
        batch_ = std::min(2 * batch_, kBatch);
    }
    budget_ = batch_;
    batch_began_ = now;
    look_at_timers(now);
    if (poller_.open_slots() != 0 && (virtual_ || now - polled_ >= kPollEvery)) {
        polled_ = now;
        poll(Duration::zero());
    }
    Task* const task = shared_.queue.take_oldest();
    if (task != nullptr) --budget_;
    return task;
}

void Worker::look_at_timers(Time now) {
    if (!timers_.due(now)) return;
    Woken woken;
    timers_.fire_due(now, woken);
    take_in(woken);
}

void Worker::poll(Duration patience) {
    Woken woken;
    stats.polls.add();
    poller_.poll(patience, woken);
    take_in(woken);
}

Task* Worker::take_global() {
    if (shared_.queue.empty()) return nullptr;
    const std::size_t share = shared_.queue.size() / shared_.options.workers + 1;
    TaskList taken = shared_.queue.take(std::min(share, kGlobalShare));
    Task* const first = taken.pop();
    while (Task* const task = taken.pop()) enqueue(task);
    return first;
}

Task* Worker::steal() {
    const unsigned count = shared_.options.workers;
    if (!searching_) {
        // A worker that finds nothing at a glance need not count as searching: it looks again once it is
        // idle.
        const auto has_work = [this](const auto& worker) {
            return worker.get() != this && worker->has_ring_work();
        };
        if (std::none_of(shared_.workers.begin(), shared_.workers.end(), has_work)) return nullptr;
        if (!shared_.idle.try_search(count - shared_.idle.count())) return nullptr;
        searching_ = true;
    }
    for (int round = 0; round < 2; ++round) {
        const auto start = static_cast<unsigned>(next_random(random_) % count);
        for (unsigned i = 0; i < count; ++i) {
            Worker& victim = *shared_.workers[(start + i) % count];
            if (&victim == this) continue;
            if (Task* const task = victim.steal_into(ring_)) {
                stats.steals.add();
                if (trace.on()) [[unlikely]]
                    trace.add(
                        {.ended = steady_now(), .task = victim.index_, .kind = TraceEvent::Kind::steal});
                return task;
            }
        }
    }
    return nullptr;
}

void Worker::end_search() {
    searching_ = false;
    // The last searcher has found something: there may be more than one can do.
    if (shared_.idle.end_search()) shared_.work_published(true);
}

bool Worker::retired() const {
    return index_ >= shared_.active.load(std::memory_order_relaxed);
}

// Not announced as idle, or somebody might rely on this worker for work it does not take. What it is waited
// for it hears of by interrupt(): its inbox, the stop flag, and that it is wanted again.
void Worker::hand_over_and_rest() {
    TaskList tasks;
    while (Task* const task = next_local()) tasks.push(task);
    while (Task* const task = take_posted()) tasks.push(task);
    if (!tasks.empty()) shared_.inject(std::move(tasks));
    if (searching_) end_search();
    timers_.falls_asleep();
    resting_.store(true, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with those of activate(), stop(), post()
    Woken woken;
    const bool wanted = !retired() || shared_.stopping.load(std::memory_order_seq_cst) || has_posted();
    const Duration patience = wanted ? Duration::zero() : time_to_timer(woken);
    if (patience > Duration::zero()) {
        stats.polls.add();
        poller_.poll(patience, woken);
        budget_ = batch_;
        batch_began_ = Time{};
        clock_ = coarse_clock();
    }
    resting_.store(false, std::memory_order_relaxed);
    timers_.awake();
    take_in(woken);
}

// Sleeps until a socket, a timer or another thread has something for this worker. IdleSet tells why no wakeup
// is lost; TimerQueue, why no timer is overslept.
void Worker::rest() {
    timers_.falls_asleep();
    shared_.idle.add(index_);
    if (std::exchange(searching_, false)) shared_.idle.end_search();
    stop_if_done();
    Woken woken;
    const Duration patience = work_anywhere() ? Duration::zero() : time_to_timer(woken);
    if (patience > Duration::zero()) {
        stats.polls.add();
        const Time before = trace.on() ? steady_now() : Time{};
        poller_.poll(patience, woken);
        if (before != Time{}) [[unlikely]]
            trace.add({.began = before, .ended = steady_now(), .kind = TraceEvent::Kind::sleep});
        budget_ = batch_;
        batch_began_ = Time{};  // it was not spent working
        clock_ = coarse_clock();
    }
    timers_.awake();
    if (!shared_.idle.remove(index_)) searching_ = true;
    take_in(woken);  // only now: an idle worker that published work would wake itself
}

// Until the next timer; none at all when timers were due, which `woken` has then.
Duration Worker::time_to_timer(Woken& woken) {
    const Time next = timers_.next();
    if (next == kNever) return Duration::max();
    const Time now = steady_now();
    clock_ = now.time_since_epoch().count();
    if (timers_.due(now)) timers_.fire_due(now, woken);
    return woken.empty() ? timers_.next() - now : Duration::zero();
}

bool Worker::work_anywhere() const {
    if (shared_.stopping.load(std::memory_order_seq_cst) || !shared_.queue.empty()) return true;
    if (posted_.load(std::memory_order_seq_cst)) return true;
    if (alone_) return false;
    return std::any_of(shared_.workers.begin(), shared_.workers.end(),
                       [](const auto& worker) { return worker->has_ring_work(); });
}

// Nothing is runnable: time jumps to the next timer, unless something outside the scheduler may come first.
void Worker::rest_in_virtual_time() {
    if (poller_.open_slots() != 0) {
        poll(Duration::zero());
        if (has_local_work()) return;
    }
    const bool held = shared_.holds.load(std::memory_order_seq_cst) != 0;
    const Time next = timers_.next_exact();
    if (!held && next != kNever) {
        shared_.virtual_now.store(next.time_since_epoch().count(), std::memory_order_relaxed);
        clock_ = next.time_since_epoch().count();
        return look_at_timers(next);
    }
    shared_.idle.add(index_);
    stop_if_done();
    if (!work_anywhere()) {
        if (!held && poller_.open_slots() == 0) report_deadlock();
        poll(Duration::max());
    }
    if (!shared_.idle.remove(index_)) shared_.idle.end_search();
}

void Worker::report_deadlock() {
    std::fputs(dump(scheduler_).c_str(), stderr);
    SLUICE_CHECK(false, "all tasks are parked, and in virtual time nothing is left that could wake them");
}

void Worker::stop_if_done() {
    if (shared_.main_ended.load(std::memory_order_seq_cst) && shared_.live() == 0) shared_.stop();
}

Task* Worker::take_stack(unsigned stack_class) {
    TaskList& hot = hot_[stack_class];
    if (hot.empty()) {
        hot = shared_.stacks.take(stack_class, kStackRefill);
        shared_.note_peak();
    }
    return hot.pop();
}

void Worker::give_stack(Task* task) {
    const unsigned stack_class = task->stack_class;
    TaskList& hot = hot_[stack_class];
    hot.push_front(task);
    if (hot.size() < 2 * kHotStacks) return;
    TaskList surplus;
    while (surplus.size() < kHotStacks) surplus.push(hot.pop());
    shared_.stacks.give(stack_class, std::move(surplus));
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
