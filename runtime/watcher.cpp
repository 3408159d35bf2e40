#include "runtime/watcher.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <new>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/inspect.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 10ms;
constexpr Duration kQuietTick = 250ms;
constexpr Duration kStacksEvery = 1s;
constexpr Duration kCpusEvery = 1s;
constexpr int kStacksShare =
    5;  // looking at stacks, and giving them back, takes a fifth of a processor at most

// What this thread has worked so far.
Duration own_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

}  // namespace

Watcher::Watcher(Scheduler& scheduler)
    : scheduler_(scheduler),
      shared_(scheduler.state()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      seen_(shared_.workers.size()),
      stacks_again_(steady_now() + kStacksEvery) {
    for (Seen& seen : seen_) seen.since = steady_now();
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, stop_, &event);
    thread_ = std::thread([this] { run(); });
}

Watcher::~Watcher() {
    stopping_.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_, &one, sizeof one);
    thread_.join();
    ::close(stop_);
    ::close(epoll_);
}

void Watcher::run() {
    while (!stopping_.load(std::memory_order_acquire)) {
        const Time now = steady_now();
        const bool busy = look_at_workers(now);
        try {
            look_at_stacks(now);
            look_at_cpus(now);
            if (busy) {
                switches_when_stuck_ = kNotStuck;
            } else {
                look_for_deadlock();
            }
        } catch (const std::bad_alloc&) {  // another time
        }
        // Without descriptors to spare there is no epoll, and this is a plain pause.
        epoll_event event{};
        const Duration pause = patience(busy, now);
        if (::epoll_wait(epoll_, &event, 1, static_cast<int>((pause + 999us) / 1ms)) < 0 && epoll_ < 0)
            std::this_thread::sleep_for(pause);
    }
}

bool Watcher::look_at_workers(Time now) {
    looked_ = now;
    unstarted_.dormants_end = &unstarted_.dormants;
    start(std::exchange(unstarted_.dormants, nullptr));
    bool busy = unstarted_.dormants != nullptr;
    if (shared_.stopping.load(std::memory_order_acquire)) return busy;  // the workers have left, not stuck
    for (unsigned i = 0; i < seen_.size(); ++i) {
        const bool idle = shared_.idle.contains(i) || shared_.workers[i]->resting();
        busy |= !idle;
        judge(i, idle, now);
        if (seen_[i].stale) stand_in(i, now);
    }
    return busy;
}

void Watcher::judge(unsigned worker, bool idle, Time now) {
    Seen& seen = seen_[worker];
    const std::uint64_t switches = shared_.workers[worker]->stats.switches.get();
    if (idle || switches != seen.switches) {
        if (seen.stale)
            ::epoll_ctl(epoll_, EPOLL_CTL_DEL, shared_.workers[worker]->poller().descriptor(), nullptr);
        seen = {.switches = switches, .since = now, .stale = false};
        return;
    }
    // Nobody else could do its work.
    if (seen.stale || seen_.size() == 1 || now - seen.since < kStaleAfter) return;
    seen.stale = true;
    shared_.stale_workers.fetch_add(1, std::memory_order_relaxed);
    epoll_event event{.events = EPOLLIN, .data = {.u64 = worker + 1}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, shared_.workers[worker]->poller().descriptor(), &event);
}

void Watcher::stand_in(unsigned index, Time now) {
    Worker& worker = *shared_.workers[index];
    Woken woken;
    if (worker.timers().due(now)) worker.timers().fire_due(now, woken);
    if (worker.poller().poll(woken)) worker.timers().wake_sleeper();  // it was not for us
    TaskList tasks = std::move(woken.tasks);
    if (Task* const task = worker.steal_next()) tasks.push(task);
    // Others come for its ring when they have nothing else to do, which may be never.
    while (Task* const task = worker.steal_into(loot_)) {
        tasks.push(task);
        while (Task* const another = loot_.pop()) tasks.push(another);
    }
    while (Task* const task = worker.take_posted()) tasks.push(task);
    if (!tasks.empty()) shared_.inject(std::move(tasks));
    start(woken.dormants);
}

// Those for which there is no stack are tried again at the next look.
void Watcher::start(Dormant* dormants) {
    while (Dormant* const dormant = dormants) {
        dormants = dormant->next;
        if (!start_dormant(scheduler_, *dormant)) unstarted_.add(*dormant, dormant->why);
    }
}

void Watcher::look_at_stacks(Time now) {
    if (now < stacks_again_) return;
    const std::uint64_t seen = switches();
    if (seen == switches_at_stacks_ && !stacks_left_over_) return;
    switches_at_stacks_ = seen;
    const Duration before = own_time();
    stacks_left_over_ = shared_.stacks.trim(now - kParkedAfter, [this] {
        if (const Time time = steady_now(); time - looked_ >= kTick) look_at_workers(time);
    });
    stacks_again_ = now + std::max<Duration>(kStacksEvery, (own_time() - before) * kStacksShare);
}

std::uint64_t Watcher::switches() const {
    std::uint64_t sum = 0;
    for (const auto& worker : shared_.workers) sum += worker->stats.switches.get();
    return sum;
}

void Watcher::look_at_cpus(Time now) {
    if (!shared_.follows_cpus || now < cpus_again_) return;
    cpus_again_ = now + kCpusEvery;
    const unsigned cpus = available_cpus(shared_.options.system_root);
    unsigned count = 0;
    for (unsigned fit = 0; count < shared_.options.workers && fit < cpus; ++count)
        fit += seen_[count].stale ? 0 : 1;
    if (count != shared_.active.load(std::memory_order_relaxed)) shared_.activate(count);
}

// What is seen twice in a row, with nothing run in between, is no moment between a wake and its worker's.
void Watcher::look_for_deadlock() {
    const std::uint64_t seen = switches();
    if (shared_.live() == 0 || !nothing_can_wake()) {
        switches_when_stuck_ = kNotStuck;
        return;
    }
    if (switches_when_stuck_ != seen) {
        switches_when_stuck_ = seen;
        deadlock_told_ = false;
        return;
    }
    if (std::exchange(deadlock_told_, true)) return;
    if (shared_.options.on_deadlock != nullptr) return shared_.options.on_deadlock(scheduler_);
    std::fprintf(stderr, "all tasks are parked, and nothing is left that could wake them:\n%s",
                 dump(scheduler_).c_str());
}

bool Watcher::nothing_can_wake() const {
    if (shared_.stopping.load() || !shared_.queue.empty() || shared_.holds.load() != 0) return false;
    return std::ranges::none_of(shared_.workers, [](const auto& worker) {
        return worker->has_ring_work() || worker->has_posted() || worker->timers().next_exact() != kNever ||
               worker->poller().awaited();
    });
}

Duration Watcher::patience(bool busy, Time now) const {
    Duration pause = busy ? kTick : kQuietTick;
    for (unsigned i = 0; i < seen_.size(); ++i) {
        if (!seen_[i].stale) continue;
        pause = std::min(pause, std::max(shared_.workers[i]->timers().next() - now, Duration::zero()));
    }
    return pause;
}

}  // namespace sluice::runtime
