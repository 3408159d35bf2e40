#include "runtime/scheduler.h"

#include <algorithm>
#include <latch>
#include <optional>
#include <thread>

#include "runtime/check.h"
#include "runtime/overflow.h"
#include "runtime/scheduler_state.h"
#include "runtime/watcher.h"

namespace sluice::runtime {

namespace {

Options complete(Options options) {
    if (options.virtual_time) options.workers = 1;
    if (options.workers == 0) options.workers = available_cpus(options.system_root);
    options.workers = std::min(options.workers, IdleSet::kMax);
    return options;
}

}  // namespace

Scheduler::State::State(Options given)
    : options(complete(given)),
      follows_cpus(given.workers == 0 && !options.virtual_time),
      stacks(options.stack),
      active(options.workers) {}

void Scheduler::State::inject(TaskList&& tasks) {
    const std::size_t count = tasks.size();
    // Rarer than the wakes of a worker, and dearer, so more of them are measured.
    constexpr unsigned kSampledEvery = 16;
    Task* const first = tasks.front();
    if (first != nullptr && first->runnable_since == 0 && !options.virtual_time &&
        injected.fetch_add(1, std::memory_order_relaxed) % kSampledEvery == 0)
        first->runnable_since = steady_now().time_since_epoch().count();
    queue.push(std::move(tasks));
    for (std::size_t i = 0; i < std::min<std::size_t>(count, options.workers); ++i) work_published(false);
}

void Scheduler::State::work_published(bool by_worker) {
    if (const auto worker = idle.to_wake(by_worker)) interrupt(*worker);
}

void Scheduler::State::interrupt(unsigned worker) {
    workers[worker]->poller().interrupt();
}

void Scheduler::State::activate(unsigned count) {
    const unsigned before = active.exchange(count, std::memory_order_seq_cst);
    for (unsigned i = std::min(before, count); i < std::max(before, count); ++i) interrupt(i);
}

void Scheduler::State::stop() {
    if (stopping.exchange(true, std::memory_order_seq_cst)) return;
    for (unsigned i = 0; i < options.workers; ++i) interrupt(i);
}

std::uint64_t Scheduler::State::live() const {
    // What has ended first, then what was spawned: were they equal, nothing was alive in between.
    std::uint64_t ended = 0;
    for (const auto& worker : workers) ended += worker->stats.ended.get();
    std::uint64_t spawned = spawned_outside.load(std::memory_order_acquire);
    for (const auto& worker : workers) spawned += worker->stats.spawned.get();
    return spawned - ended;
}

void Scheduler::State::note_peak() {
    const std::uint64_t seen = live() + 1;
    std::uint64_t peak_so_far = peak.load(std::memory_order_relaxed);
    while (seen > peak_so_far && !peak.compare_exchange_weak(peak_so_far, seen, std::memory_order_relaxed)) {
    }
}

Scheduler::Scheduler(Options options) : state_(std::make_unique<State>(options)) {
    for (unsigned i = 0; i < state_->options.workers; ++i) {
        state_->workers.push_back(std::make_unique<Worker>(*this, i));
    }
}

Scheduler::~Scheduler() {
    SLUICE_CHECK(state_->live() == 0, "a scheduler outlives its tasks: run() waits for them");
}

unsigned Scheduler::workers() const {
    return state_->options.workers;
}
unsigned Scheduler::active_workers() const {
    return state_->active.load(std::memory_order_relaxed);
}
const Options& Scheduler::options() const {
    return state_->options;
}

void Scheduler::run_main(void (*call)(void*), void* f, const std::source_location& where) {
    SLUICE_CHECK(current() == nullptr, "run() is not for tasks");
    State& state = *state_;
    state.main_ended.store(false);
    state.stopping.store(false);
    state.main_failed = nullptr;
    const auto main = [call, f, &state] {
        try {
            call(f);
        } catch (...) {
            state.main_failed = std::current_exception();
        }
        state.main_ended.store(true, std::memory_order_seq_cst);
    };
    install_overflow_report();
    // All threads, or none: only then main's task, which refers to our caller's variables.
    std::latch complete(1);
    std::vector<std::jthread> threads;
    std::optional<Watcher> watcher;
    try {
        for (auto& worker : state.workers) {
            threads.emplace_back([&] {
                complete.wait();
                worker->run();
            });
        }
        if (!state.options.virtual_time) watcher.emplace(*this);
        detail::start<detail::Closure<std::remove_const_t<decltype(main)>>>(this, SpawnOptions{}, where,
                                                                            main);
    } catch (...) {
        state.stopping.store(true);
        complete.count_down();
        throw;
    }
    complete.count_down();
    threads.clear();  // joins
    if (state.main_failed != nullptr) std::rethrow_exception(std::exchange(state.main_failed, nullptr));
}

void Scheduler::hold() {
    state_->holds.fetch_add(1, std::memory_order_seq_cst);
}

void Scheduler::release() {
    state_->holds.fetch_sub(1, std::memory_order_seq_cst);
    if (state_->options.virtual_time) state_->interrupt(0);
}

Scheduler* Scheduler::current() {
    const Worker* const worker = Worker::here();
    return worker != nullptr ? &worker->scheduler() : nullptr;
}

unsigned worker_index() {
    const Worker* const worker = Worker::here();
    return worker != nullptr ? worker->index() : kNoWorker;
}

Time now() {
    const Worker* const worker = Worker::here();
    return worker != nullptr ? worker->now() : steady_now();
}

}  // namespace sluice::runtime
