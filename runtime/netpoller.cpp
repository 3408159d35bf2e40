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
#include "runtime/poll_slot_steps.h"
#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

constexpr std::uint32_t kEverything = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::uint32_t kRepeating = EPOLLIN;

// What epoll hands back: the slot's address, which has 16 bits to spare, and as many bits of its generation.
constexpr unsigned kAddressBits = 48;
std::uint64_t tag_of(const PollSlot& slot, std::uint32_t generation) {
    return reinterpret_cast<std::uint64_t>(&slot) | std::uint64_t{generation} << kAddressBits;
}
PollSlot* slot_of(std::uint64_t tag) {
    return reinterpret_cast<PollSlot*>(tag & ((std::uint64_t{1} << kAddressBits) - 1));
}

// For less, setting an alarm costs more than the kernel's own timeout.
constexpr Duration kWorthAnAlarm = std::chrono::milliseconds(1);

// What epoll hands back of the alarm: no slot's address.
constexpr std::uint64_t kAlarm = 1;

// Duration::max(): for ever. epoll_pwait2() takes nanoseconds. Old seccomp profiles refuse it; then,
// milliseconds rounded up: late, never early.
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

Worker& registering_worker() {
    Worker* const worker = Worker::here();
    SLUICE_CHECK(worker != nullptr, "a descriptor is registered by a task");
    return *worker;
}

}  // namespace

// --- PollSlot

PollSlot* PollSlot::open(int descriptor) {
    return registering_worker().poller().open(descriptor);
}

PollSlot* PollSlot::open(int descriptor, unsigned worker) {
    const auto& workers = registering_worker().scheduler().state().workers;
    return workers[worker % workers.size()]->poller().open(descriptor);
}

PollSlot* PollSlot::open_repeating(int descriptor) {
    return registering_worker().poller().open(descriptor, true);
}

// The system call is made under the lock: of two changes the later one holds, and no descriptor is touched
// that has been closed. What is there when it is made is reported once more in any case.
[[gnu::cold]] void PollSlot::set_trigger(Trigger from, Trigger to) {
    std::lock_guard lock(poller().lock_);
    if (trigger() != from) return;
    trigger(to);
    epoll_event event{.events = to == Trigger::repeats ? kRepeating : kEverything,
                      .data = {.u64 = tag_of(*this, generation() & 0xffff)}};
    ::epoll_ctl(poller().epoll_, EPOLL_CTL_MOD, descriptor(), &event);
}

void PollSlot::close() {
    if (trigger() != Trigger::edge) [[unlikely]] {
        std::lock_guard lock(poller().lock_);
        trigger(Trigger::edge);
    }
    BasicPollSlot::close();
}

void PollSlot::detach() {
    ::epoll_ctl(poller().epoll_, EPOLL_CTL_DEL, descriptor(), nullptr);
    close();
}

template class BasicPollSlot<OnNetpoller>;

// --- Netpoller

Netpoller::Netpoller(Scheduler& scheduler, TimerQueue& timers)
    : scheduler_(scheduler),
      timers_(timers),
      epoll_(require(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      interrupt_(require(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    // Edge-triggered, so they are never read: each write, each ring is an edge of its own.
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};
    require(::epoll_ctl(epoll_, EPOLL_CTL_ADD, interrupt_, &event), "epoll_ctl");
    event.data.u64 = kAlarm;
    require(::epoll_ctl(epoll_, EPOLL_CTL_ADD, alarm_.descriptor(), &event), "epoll_ctl");
}

Netpoller::~Netpoller() {
    ::close(interrupt_);
    ::close(epoll_);
}

PollSlot* Netpoller::open(int descriptor, bool repeating) {
    PollSlot* const slot = take_slot();
    if (slot == nullptr) {
        errno = ENOMEM;
        return nullptr;
    }
    const std::uint64_t tag = tag_of(*slot, slot->begin(descriptor) & 0xffff);
    epoll_event event{.events = kEverything, .data = {.u64 = tag}};
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0) {
        if (repeating) slot->set_trigger(PollSlot::Trigger::edge, PollSlot::Trigger::repeats);
        return slot;
    }
    const int error = errno;
    slot->close();
    errno = error;
    return nullptr;
}

// Null: there is no memory for more.
PollSlot* Netpoller::take_slot() {
    std::lock_guard lock(lock_);
    if (free_ == nullptr) {
        try {
            slabs_.push_back(std::make_unique<PollSlot[]>(kSlab));
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
        for (std::size_t i = kSlab; i-- > 0;) {
            PollSlot& slot = slabs_.back()[i];
            slot.set_poller(*this);
            slot.next_free_ = std::exchange(free_, &slot);
        }
    }
    open_slots_.fetch_add(1, std::memory_order_relaxed);
    return std::exchange(free_, free_->next_free_);
}

void Netpoller::free_slot(BasicPollSlot<OnNetpoller>& base) {
    auto& slot = static_cast<PollSlot&>(base);
    {
        std::lock_guard lock(lock_);
        slot.next_free_ = std::exchange(free_, &slot);
    }
    open_slots_.fetch_sub(1, std::memory_order_relaxed);
}

void Netpoller::deliver(Woken& woken) {
    runtime::deliver(scheduler_, woken);
}

bool Netpoller::awaited() {
    std::lock_guard lock(lock_);
    return std::ranges::any_of(slabs_, [](const auto& slab) {
        return std::any_of(slab.get(), slab.get() + kSlab, [](PollSlot& slot) { return slot.awaited(); });
    });
}

bool Netpoller::wait(Time until, Woken& woken) {
    if (!alarm_.rings_by(until)) {
        const Duration patience = until - steady_now();
        if (patience < kWorthAnAlarm) return take(patience, woken);
        alarm_.set(until);
    }
    return take(Duration::max(), woken);
}

bool Netpoller::take(Duration patience, Woken& woken) {
    bool interrupted = false;
    epoll_event events[kEvents];
    const int n = wait_for_events(epoll_, events, kEvents, patience);
    for (int i = 0; i < n; ++i) {
        const std::uint64_t tag = events[i].data.u64;
        if (tag > kAlarm) {
            PollSlot& slot = *slot_of(tag);
            const bool unheeded = slot.unheeded();
            slot.report(events[i].events, static_cast<std::uint32_t>(tag >> kAddressBits), woken);
            if (unheeded) slot.set_trigger(PollSlot::Trigger::repeats, PollSlot::Trigger::silenced);
            continue;
        }
        if (tag == kAlarm) alarm_.rang();
        interrupted = true;
    }
    return interrupted;
}

void Netpoller::interrupt() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(interrupt_, &one, sizeof one);
}

}  // namespace sluice::runtime
