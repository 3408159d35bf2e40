#include "runtime/netpoller.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <system_error>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/check.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

constexpr std::uint32_t kReadable = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
constexpr std::uint32_t kWritable = EPOLLOUT | EPOLLHUP | EPOLLERR;

// What epoll hands back: the slot's address, which has 16 bits to spare, and as many bits of its generation.
constexpr unsigned kAddressBits = 48;
std::uint64_t tag_of(const PollSlot& slot, std::uint32_t generation) {
    return reinterpret_cast<std::uint64_t>(&slot) | std::uint64_t{generation} << kAddressBits;
}
PollSlot* slot_of(std::uint64_t tag) {
    return reinterpret_cast<PollSlot*>(tag & ((std::uint64_t{1} << kAddressBits) - 1));
}

// epoll_pwait2() takes nanoseconds. Old seccomp profiles refuse it; then, milliseconds rounded up: late,
// never early.
int wait_for_events(int epoll, epoll_event* events, int count, Duration patience) {
    static std::atomic<bool> has_pwait2{true};
    if (patience <= Duration::zero()) return ::epoll_wait(epoll, events, count, 0);
    if (patience == Duration::max()) return ::epoll_wait(epoll, events, count, -1);
    if (has_pwait2.load(std::memory_order_relaxed)) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
        const timespec timeout{seconds.count(), (patience - seconds).count()};
        const int n = ::epoll_pwait2(epoll, events, count, &timeout, nullptr);
        if (n >= 0 || errno == EINTR) return n;
        has_pwait2.store(false, std::memory_order_relaxed);
    }
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
    return ::epoll_wait(epoll, events, count, static_cast<int>(std::min<std::int64_t>(ms, 1 << 30)));
}

int require(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
    return result;
}

}  // namespace

// --- PollSlot

PollSlot* PollSlot::open(int descriptor) {
    Worker* const worker = Worker::here();
    SLUICE_CHECK(worker != nullptr, "a descriptor is registered by a task");
    return worker->poller().open(descriptor);
}

PollSlot* PollSlot::open(int descriptor, unsigned worker) {
    Worker* const here = Worker::here();
    SLUICE_CHECK(here != nullptr, "a descriptor is registered by a task");
    const auto& workers = here->scheduler().state().workers;
    return workers[worker % workers.size()]->poller().open(descriptor);
}

void PollSlot::close() {
    Woken woken;
    {
        std::lock_guard lock(lock_);
        SLUICE_CHECK(descriptor_ >= 0, "a slot is closed once");
        SLUICE_CHECK(dormant_ == nullptr, "a dozing slot belongs to its Dormant");
        // Release: whoever sees the next generation in an event sees the slot as that left it.
        generation_.store(generation_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        descriptor_ = -1;
        for (Side& side : sides_) {
            wake_side(side, Outcome::cancelled, woken);
            side.ready.store(false, std::memory_order_relaxed);
        }
    }
    if (!woken.empty()) deliver(poller_->scheduler_, woken);
    poller_->free_slot(*this);
}

void PollSlot::detach() {
    ::epoll_ctl(poller_->epoll_, EPOLL_CTL_DEL, descriptor_, nullptr);
    close();
}

struct PollSlot::Call {
    PollSlot& slot;
    Side& side;
    Waiter& waiter;
    Time deadline;
};

Outcome PollSlot::wait(Half half, Time deadline, WaitReason reason) {
    Side& side = half_of(half);
    if (ready(half)) return Outcome::woken;
    Waiter waiter(current_task());
    // The slot's own timer serves the deadline, that of the task too: park_until() is not to arm another.
    const Time of_task = std::exchange(waiter.task->deadline, kNever);
    Call call{*this, side, waiter, std::min(deadline, of_task)};
    const Outcome outcome = park_until(reason, this, waiter, kNever, &commit_wait, &call);
    waiter.task->deadline = of_task;
    if (outcome == Outcome::cancelled) {
        std::lock_guard lock(lock_);
        if (side.waiter == &waiter) side.waiter = nullptr;
    }
    return outcome;
}

bool PollSlot::commit_wait(void* arg, Task* task) {
    const Call call =
        *static_cast<Call*>(arg);  // on the task's stack, which is its own again once it is enqueued
    PollSlot& slot = call.slot;
    bool earlier = false;
    {
        std::lock_guard lock(slot.lock_);
        if (slot.cancelled_) task->wait.claim(call.waiter.ticket, Outcome::cancelled);
        if (slot.cancelled_ || call.side.reported()) return false;
        SLUICE_CHECK(call.side.waiter == nullptr, "one task at a time waits for each half of a descriptor");
        call.side.waiter = &call.waiter;
        call.side.deadline = call.deadline;
        earlier = call.deadline < slot.timer_.when;
    }
    if (earlier) slot.arm_timer();
    return true;
}

bool PollSlot::doze(Dormant& dormant, Time deadline) {
    Side& side = half_of(Half::read);
    bool earlier = false;
    {
        std::lock_guard lock(lock_);
        if (cancelled_ || side.reported()) return false;
        SLUICE_CHECK(dormant_ == nullptr && side.waiter == nullptr, "what dozes is not waited for");
        dormant_ = &dormant;
        side.deadline = deadline;
        earlier = deadline < timer_.when;
    }
    if (earlier) arm_timer();
    return true;
}

void PollSlot::rouse(std::uint32_t generation) {
    Woken woken;
    {
        std::lock_guard lock(lock_);
        if (generation_.load(std::memory_order_relaxed) != generation) return;
        wake_dormant(Wake::roused, woken);
    }
    if (!woken.empty()) deliver(poller_->scheduler_, woken);
}

void PollSlot::cancel(std::uint32_t generation) {
    Woken woken;
    {
        std::lock_guard lock(lock_);
        if (generation_.load(std::memory_order_relaxed) != generation) return;
        cancelled_ = true;
        for (Side& side : sides_) wake_side(side, Outcome::cancelled, woken);
        wake_dormant(Wake::roused, woken);
    }
    if (!woken.empty()) deliver(poller_->scheduler_, woken);
}

// The waits of a slot share one timer. It is moved only when a wait needs it earlier; one that fires too
// early, since its wait has ended or its deadline was extended, is armed again for what is waited for then.
void PollSlot::arm_timer() {
    TimerQueue& timers = poller_->timers_;
    {
        std::lock_guard queue_lock(timers.lock());
        std::lock_guard lock(lock_);
        const Time first = first_deadline();
        if (first >= timer_.when) return;  // the wait has ended meanwhile, or another has armed it
        timers.arm_locked(timer_, first);
    }
    timers.wake_sleeper();
}

void PollSlot::fire(Timer& timer, Time now, Woken& woken) {
    constexpr std::size_t offset = offsetof(PollSlot, timer_);
    reinterpret_cast<PollSlot*>(reinterpret_cast<char*>(&timer) - offset)->expire(now, woken);
}

// With the queue's lock held.
void PollSlot::expire(Time now, Woken& woken) {
    std::lock_guard lock(lock_);
    timer_.when = kNever;
    for (Side& side : sides_) {
        if (side.deadline <= now) wake_side(side, Outcome::timed_out, woken);
    }
    if (half_of(Half::read).deadline <= now) wake_dormant(Wake::deadline, woken);
    if (const Time first = first_deadline(); first != kNever) poller_->timers_.arm_locked(timer_, first);
}

Time PollSlot::first_deadline() const {
    const Side& read = half_of(Half::read);
    const Side& write = half_of(Half::write);
    return std::min(read.waiter != nullptr || dormant_ != nullptr ? read.deadline : kNever,
                    write.waiter != nullptr ? write.deadline : kNever);
}

void PollSlot::report(std::uint32_t events, std::uint32_t tag_generation, Woken& woken) {
    std::lock_guard lock(lock_);
    const auto generation = static_cast<std::uint16_t>(generation_.load(std::memory_order_relaxed));
    if (generation != tag_generation || descriptor_ < 0) return;
    // An end stays: it may have been reported together with bytes, and nothing more is reported after it.
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        half_of(Half::read).ended.store(true, std::memory_order_release);
    if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        half_of(Half::write).ended.store(true, std::memory_order_release);
    if ((events & kReadable) != 0) {
        half_of(Half::read).ready.store(true, std::memory_order_release);
        wake_side(half_of(Half::read), Outcome::woken, woken);
        wake_dormant(Wake::readable, woken);
    }
    if ((events & kWritable) != 0) {
        half_of(Half::write).ready.store(true, std::memory_order_release);
        wake_side(half_of(Half::write), Outcome::woken, woken);
    }
}

void PollSlot::wake_side(Side& side, Outcome how, Woken& woken) {
    if (side.waiter == nullptr) return;
    Waiter& waiter = *std::exchange(side.waiter, nullptr);
    if (waiter.task->wait.claim(waiter.ticket, how)) woken.tasks.push(waiter.task);
}

void PollSlot::wake_dormant(Wake why, Woken& woken) {
    if (dormant_ != nullptr) woken.add(*std::exchange(dormant_, nullptr), why);
}

// --- Netpoller

Netpoller::Netpoller(Scheduler& scheduler, TimerQueue& timers)
    : scheduler_(scheduler),
      timers_(timers),
      epoll_(require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      interrupt_(require(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    // Edge-triggered, so it is never read: each write is an edge of its own.
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};
    require(::epoll_ctl(epoll_, EPOLL_CTL_ADD, interrupt_, &event), "epoll_ctl");
}

Netpoller::~Netpoller() {
    ::close(interrupt_);
    ::close(epoll_);
}

PollSlot* Netpoller::open(int descriptor) {
    PollSlot* const slot = take_slot();
    std::uint32_t generation = 0;
    {
        std::lock_guard lock(slot->lock_);
        generation = slot->generation_.load(std::memory_order_relaxed);
        slot->descriptor_ = descriptor;
        slot->cancelled_ = false;
        for (PollSlot::Side& side : slot->sides_) side.ended.store(false, std::memory_order_relaxed);
    }
    const std::uint64_t tag = tag_of(*slot, generation & 0xffff);
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.u64 = tag}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0) return slot;
    const int error = errno;
    slot->close();
    errno = error;
    return nullptr;
}

PollSlot* Netpoller::take_slot() {
    open_slots_.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard lock(lock_);
    if (free_ == nullptr) {
        slabs_.push_back(std::make_unique<PollSlot[]>(kSlab));
        for (std::size_t i = kSlab; i-- > 0;) {
            PollSlot& slot = slabs_.back()[i];
            slot.poller_ = this;
            slot.next_free_ = std::exchange(free_, &slot);
        }
    }
    return std::exchange(free_, free_->next_free_);
}

void Netpoller::free_slot(PollSlot& slot) {
    {
        std::lock_guard lock(lock_);
        slot.next_free_ = std::exchange(free_, &slot);
    }
    open_slots_.fetch_sub(1, std::memory_order_relaxed);
}

bool Netpoller::awaited() {
    std::lock_guard lock(lock_);
    return std::ranges::any_of(slabs_, [](const auto& slab) {
        return std::any_of(slab.get(), slab.get() + kSlab, [](PollSlot& slot) {
            std::lock_guard slot_lock(slot.lock_);
            return slot.dormant_ != nullptr || slot.sides_[0].waiter != nullptr ||
                   slot.sides_[1].waiter != nullptr;
        });
    });
}

bool Netpoller::poll(Duration patience, Woken& woken) {
    bool interrupted = false;
    epoll_event events[kEvents];
    const int n = wait_for_events(epoll_, events, kEvents, patience);
    for (int i = 0; i < n; ++i) {
        if (PollSlot* const slot = slot_of(events[i].data.u64)) {
            slot->report(events[i].events, static_cast<std::uint32_t>(events[i].data.u64 >> kAddressBits),
                         woken);
        } else {
            interrupted = true;
        }
    }
    return interrupted;
}

void Netpoller::interrupt() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(interrupt_, &one, sizeof one);
}

}  // namespace sluice::runtime
