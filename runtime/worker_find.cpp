// Where a worker finds its next task, and what it looks at between two batches of them.

#include <algorithm>

#include "runtime/random.h"
#include "runtime/scheduler_state.h"
#include "runtime/worker.h"

namespace sluice::runtime {

namespace {

constexpr Duration kBatchTime = std::chrono::microseconds(200);
constexpr Duration kPollEvery = std::chrono::microseconds(50);
constexpr std::size_t kGlobalShare = 128;
// A victim that spawns tasks of some nanoseconds gets through thousands of them meanwhile.
constexpr Duration kNap = std::chrono::microseconds(200);

}  // namespace

Task* Worker::find_work() {
    for (;;) {
        if (unstarted_.dormants != nullptr) [[unlikely]]
            start_dormants();
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

Task* Worker::next_at_random() {
    if (Task* const task = next_slot_.take()) at_random_.push_back(task);
    while (Task* const task = ring_.pop_unshared()) at_random_.push_back(task);
    if (at_random_.empty()) return nullptr;
    std::swap(at_random_[next_random(random_) % at_random_.size()], at_random_.back());
    Task* const task = at_random_.back();
    at_random_.pop_back();
    return task;
}

// What is due after every batch, however much is runnable here. The next batch is made as long as should take
// 200 µs, judged by this one.
Task* Worker::end_batch() {
    const Time now = this->now();
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
        poll();
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

void Worker::poll() {
    Woken woken;
    stats.polls.add();
    poller_.poll(woken);
    if (!virtual_) clock_ = steady_now().time_since_epoch().count();  // not before what was found
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
        if (loot_.was_brief(steady_now(), stats.switches.get())) {
            stats.naps.add();
            Woken woken;
            watch_own(steady_now() + kNap, woken);
            take_in(woken);
            return next_local();  // what was woken may be in the next-slot, where nobody else looks
        }
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
                loot_.took(steady_now(), stats.switches.get());
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

}  // namespace sluice::runtime
