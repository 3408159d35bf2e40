// How a worker that finds nothing waits for its sockets, its timers and the others: in real time, in virtual
// time, and while it is not wanted.

#include <algorithm>
#include <cstdio>

#include "runtime/check.h"
#include "runtime/inspect.h"
#include "runtime/scheduler_state.h"
#include "runtime/worker.h"

namespace sluice::runtime {

namespace {

constexpr Time kNotAtAll = Time::min();

}  // namespace

// Sleeps until a socket, a timer or another thread has something for this worker. IdleSet tells why no wakeup
// is lost; TimerQueue, why no timer is overslept.
void Worker::rest() {
    timers_.falls_asleep();
    shared_.idle.add(index_);
    if (std::exchange(searching_, false)) shared_.idle.end_search();
    stop_if_done();
    Woken woken;
    const Time until = work_anywhere() ? kNotAtAll : time_to_rest(woken);
    if (until != kNotAtAll) {
        stats.polls.add();
        const Time before = trace.on() ? steady_now() : Time{};
        poller_.wait(until, woken);
        if (before != Time{}) [[unlikely]]
            trace.add({.began = before, .ended = steady_now(), .kind = TraceEvent::Kind::sleep});
        budget_ = batch_;
        batch_began_ = Time{};  // it was not spent working
        clock_ = steady_now().time_since_epoch().count();
    }
    timers_.awake();
    if (!shared_.idle.remove(index_)) searching_ = true;
    take_in(woken);  // only now: an idle worker that published work would wake itself
}

// Until the next timer; not at all when timers were due, which `woken` has then. While dormants lack a stack,
// which another worker may give back, no longer than kStackPatience.
Time Worker::time_to_rest(Woken& woken) {
    Time until = timers_.next();
    if (!poller_.wakes_by(until)) {
        const Time now = steady_now();
        clock_ = now.time_since_epoch().count();
        if (timers_.due(now)) timers_.fire_due(now, woken);
        if (!woken.empty()) return kNotAtAll;
        until = timers_.next();
    }
    if (unstarted_.dormants != nullptr) [[unlikely]]
        until = std::min(until, steady_now() + kStackPatience);
    return until;
}

bool Worker::work_anywhere() const {
    if (shared_.stopping.load(std::memory_order_seq_cst) || !shared_.queue.empty()) return true;
    if (posted_.load(std::memory_order_seq_cst)) return true;
    if (alone_) return false;
    return std::any_of(shared_.workers.begin(), shared_.workers.end(),
                       [](const auto& worker) { return worker->has_ring_work(); });
}

bool Worker::retired() const {
    return index_ >= shared_.active.load(std::memory_order_relaxed);
}

// This worker must not be in the idle set: it could be claimed for work that it will not take. interrupt()
// wakes it instead: for its inbox, for the stop flag, or when it may run tasks again.
void Worker::hand_over_and_rest() {
    TaskList tasks;
    while (Task* const task = next_local()) tasks.push(task);
    while (Task* const task = take_posted()) tasks.push(task);
    if (!tasks.empty()) shared_.inject(std::move(tasks));
    if (searching_) end_search();
    resting_.store(true, std::memory_order_seq_cst);
    timers_.falls_asleep();  // from here on an interrupt that the watcher takes is passed on
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with those of activate(), stop(), post()
    Woken woken;
    stop_if_done();  // the last task may have ended here, while the others sleep
    const bool wanted = !retired() || shared_.stopping.load(std::memory_order_seq_cst) || has_posted();
    if (wanted)
        timers_.awake();
    else
        watch_own(kNever, woken);
    resting_.store(false, std::memory_order_relaxed);
    take_in(woken);
}

// Waits for this worker's sockets and timers, and not for the others' work.
void Worker::watch_own(Time longest, Woken& woken) {
    timers_.falls_asleep();
    std::atomic_thread_fence(std::memory_order_seq_cst);  // TimerQueue's second step
    const Time until = std::min(longest, time_to_rest(woken));
    if (until != kNotAtAll) {
        stats.polls.add();
        poller_.wait(until, woken);
        budget_ = batch_;
        batch_began_ = Time{};  // it was not spent working
        clock_ = steady_now().time_since_epoch().count();
    }
    timers_.awake();
}

// Nothing is runnable: time jumps to the next timer, unless something outside the scheduler may come first.
void Worker::rest_in_virtual_time() {
    if (poller_.open_slots() != 0) {
        poll();
        if (has_local_work()) return;
    }
    const bool held = shared_.holds.load(std::memory_order_seq_cst) != 0;
    const Time due = timers_.next_exact();
    if (!held && due != kNever) {
        const Time next = std::max(due, now());  // a deadline may have passed when its wait began
        shared_.virtual_now.store(next.time_since_epoch().count(), std::memory_order_relaxed);
        clock_ = next.time_since_epoch().count();
        return look_at_timers(next);
    }
    shared_.idle.add(index_);
    stop_if_done();
    if (!work_anywhere()) {
        if (!held && poller_.open_slots() == 0) report_deadlock();
        Woken woken;
        stats.polls.add();
        poller_.wait(kNever, woken);
        take_in(woken);
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

}  // namespace sluice::runtime
