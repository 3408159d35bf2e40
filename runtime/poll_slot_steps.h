#pragma once

#include <algorithm>
#include <mutex>
#include <utility>

#include <sys/epoll.h>

#include "runtime/check.h"
#include "runtime/poll_slot.h"

// The steps of a BasicPollSlot; for netpoller.cpp, and the model checker.
namespace sluice::runtime {

template <class Host>
std::uint32_t BasicPollSlot<Host>::begin(int descriptor) {
    std::lock_guard lock(lock_);
    descriptor_ = descriptor;
    cancelled_.store(false, std::memory_order_release);
    for (Side& side : sides_) side.ended.store(false, std::memory_order_relaxed);
    return generation();
}

template <class Host>
void BasicPollSlot<Host>::close() {
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
    if (!woken.empty()) poller_->deliver(woken);
    poller_->free_slot(*this);
}

template <class Host>
struct BasicPollSlot<Host>::Call {
    BasicPollSlot& slot;
    Side& side;
    Waiter& waiter;
    Time deadline;
};

template <class Host>
Outcome BasicPollSlot<Host>::wait(Half half, Time deadline, WaitReason reason) {
    Side& side = half_of(half);
    if (ready(half)) return Outcome::woken;
    Waiter waiter(Host::waiting_task());
    // The slot's own timer serves the deadline, that of the task too: park_until() is not to arm another.
    const Time of_task = std::exchange(waiter.task->deadline, kNever);
    Call call{*this, side, waiter, std::min(deadline, of_task)};
    const Outcome outcome = Host::park_until(reason, this, waiter, kNever, &commit_wait, &call);
    waiter.task->deadline = of_task;
    if (outcome == Outcome::cancelled) {
        std::lock_guard lock(lock_);
        if (side.waiter == &waiter) side.waiter = nullptr;
    }
    return outcome;
}

template <class Host>
bool BasicPollSlot<Host>::commit_wait(void* arg, Task* task) {
    const Call call =
        *static_cast<Call*>(arg);  // on the task's stack, which is its own again once it is enqueued
    BasicPollSlot& slot = call.slot;
    bool earlier = false;
    {
        std::lock_guard lock(slot.lock_);
        if (slot.cancelled()) task->wait.claim(call.waiter.ticket, Outcome::cancelled);
        if (slot.cancelled() || call.side.reported()) return false;
        SLUICE_CHECK(call.side.waiter == nullptr, "one task at a time waits for each half of a descriptor");
        call.side.waiter = &call.waiter;
        call.side.deadline = call.deadline;
        earlier = call.deadline < slot.timer_.when;
    }
    if (earlier) slot.arm_timer();
    return true;
}

template <class Host>
bool BasicPollSlot<Host>::doze(Dormant& dormant, Time deadline) {
    Side& side = half_of(Half::read);
    bool earlier = false;
    {
        std::lock_guard lock(lock_);
        if (cancelled() || side.reported()) return false;
        SLUICE_CHECK(dormant_ == nullptr && side.waiter == nullptr, "what dozes is not waited for");
        dormant_ = &dormant;
        side.deadline = deadline;
        earlier = deadline < timer_.when;
    }
    if (earlier) arm_timer();
    return true;
}

template <class Host>
bool BasicPollSlot<Host>::rouse(std::uint32_t generation) {
    Woken woken;
    {
        std::lock_guard lock(lock_);
        if (generation_.load(std::memory_order_relaxed) != generation) return false;
        wake_dormant(Wake::roused, woken);
    }
    if (woken.empty()) return false;
    poller_->deliver(woken);
    return true;
}

template <class Host>
void BasicPollSlot<Host>::cancel(std::uint32_t generation) {
    Woken woken;
    {
        std::lock_guard lock(lock_);
        if (generation_.load(std::memory_order_relaxed) != generation) return;
        cancelled_.store(true);
        for (Side& side : sides_) wake_side(side, Outcome::cancelled, woken);
        wake_dormant(Wake::roused, woken);
    }
    if (!woken.empty()) poller_->deliver(woken);
}

// The waits of a slot share one timer. It is moved only when a wait needs it earlier; one that fires too
// early, since its wait has ended or its deadline was extended, is armed again for what is waited for then.
template <class Host>
void BasicPollSlot<Host>::arm_timer() {
    auto& timers = poller_->timers();
    {
        std::lock_guard queue_lock(timers.lock());
        std::lock_guard lock(lock_);
        const Time first = first_deadline();
        if (first >= timer_.when) return;  // the wait has ended meanwhile, or another has armed it
        timers.arm_locked(timer_, first);
    }
    timers.wake_sleeper();
}

template <class Host>
void BasicPollSlot<Host>::fire(Timer& timer, Time now, Woken& woken) {
    constexpr std::size_t offset = offsetof(BasicPollSlot, timer_);
    reinterpret_cast<BasicPollSlot*>(reinterpret_cast<char*>(&timer) - offset)->expire(now, woken);
}

// With the queue's lock held.
template <class Host>
void BasicPollSlot<Host>::expire(Time now, Woken& woken) {
    std::lock_guard lock(lock_);
    timer_.when = kNever;
    for (Side& side : sides_) {
        if (side.deadline <= now) wake_side(side, Outcome::timed_out, woken);
    }
    if (half_of(Half::read).deadline <= now) wake_dormant(Wake::deadline, woken);
    if (const Time first = first_deadline(); first != kNever) poller_->timers().arm_locked(timer_, first);
}

template <class Host>
Time BasicPollSlot<Host>::first_deadline() const {
    const Side& read = half_of(Half::read);
    const Side& write = half_of(Half::write);
    return std::min(read.waiter != nullptr || dormant_ != nullptr ? read.deadline : kNever,
                    write.waiter != nullptr ? write.deadline : kNever);
}

template <class Host>
void BasicPollSlot<Host>::report(std::uint32_t events, std::uint32_t tag_generation, Woken& woken) {
    constexpr std::uint32_t kEnd = EPOLLHUP | EPOLLERR;
    std::lock_guard lock(lock_);
    const auto generation = static_cast<std::uint16_t>(generation_.load(std::memory_order_relaxed));
    if (generation != tag_generation || descriptor_ < 0) return;
    // An end stays: it may have been reported together with bytes, and nothing more is reported after it.
    if ((events & (kEnd | EPOLLRDHUP)) != 0) half_of(Half::read).ended.store(true, std::memory_order_release);
    if ((events & kEnd) != 0) half_of(Half::write).ended.store(true, std::memory_order_release);
    if ((events & (kEnd | EPOLLRDHUP | EPOLLIN)) != 0) {
        half_of(Half::read).ready.store(true, std::memory_order_release);
        wake_side(half_of(Half::read), Outcome::woken, woken);
        wake_dormant(Wake::readable, woken);
    }
    if ((events & (kEnd | EPOLLOUT)) != 0) {
        half_of(Half::write).ready.store(true, std::memory_order_release);
        wake_side(half_of(Half::write), Outcome::woken, woken);
    }
}

template <class Host>
bool BasicPollSlot<Host>::awaited() {
    std::lock_guard lock(lock_);
    return dormant_ != nullptr || sides_[0].waiter != nullptr || sides_[1].waiter != nullptr;
}

template <class Host>
void BasicPollSlot<Host>::wake_side(Side& side, Outcome how, Woken& woken) {
    if (side.waiter == nullptr) return;
    Waiter& waiter = *std::exchange(side.waiter, nullptr);
    if (waiter.task->wait.claim(waiter.ticket, how)) woken.tasks.push(waiter.task);
}

template <class Host>
void BasicPollSlot<Host>::wake_dormant(Wake why, Woken& woken) {
    if (dormant_ != nullptr) woken.add(*std::exchange(dormant_, nullptr), why);
}

}  // namespace sluice::runtime
