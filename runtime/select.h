#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "runtime/channel.h"
#include "runtime/spin_lock.h"
#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

namespace detail {

// One of the operations that a select waits for. Of those on a channel: attempt, enlist and withdraw are
// called with the channel's lock held.
struct SelectCase {
    SpinLock* lock = nullptr;  // null: a deadline, or `otherwise`
    Time deadline = kNever;
    bool otherwise = false;
    bool (*attempt)(SelectCase& self, Waiter*& woken) = nullptr;  // true: done, and `woken` is to be unparked
    Waiter* (*enlist)(SelectCase& self, const Waiter& first) = nullptr;
    bool (*withdraw)(SelectCase& self) = nullptr;  // after the wait; true: it is this one that happened
};

int select(std::span<SelectCase* const> cases);

}  // namespace detail

// select() waits until one of several operations can be done, does that one, and returns its place among the
// arguments; kSelectCancelled when the task was cancelled or its deadline passed instead. Among those that
// can be done at once it chooses at random, so that none is starved by another. At most kSelectMax cases.
//
//     auto job = on_receive(jobs);
//     auto result = on_send(results, value);
//     switch (select(job, result, after(1s))) {
//         case 0: if (job.value) run(*job.value); break;  // no value: the channel is closed
//         case 1: break;                                  // result.sent is false: the channel is closed
//         case 2: complain(); break;
//     }
//
// after() and at() give up then; otherwise() at once, so that the select never parks. As many channels as
// there are, and the same one twice, may take part; each must outlive the call.
template <class... Cases>
int select(Cases&&... cases);

inline constexpr int kSelectCancelled = -1;
inline constexpr std::size_t kSelectMax = 16;

// ReceiveCase: `value` is what was received when this case was chosen, or nothing when the channel is closed
// and empty.
template <class T>
struct ReceiveCase : detail::SelectCase {
    explicit ReceiveCase(Channel<T>& channel);
    ReceiveCase(const ReceiveCase&) = delete;

    std::optional<T> value;

  private:
    Channel<T>& channel_;
    std::optional<typename Channel<T>::Wait> wait_;
};

// SendCase: `sent` tells, when this case was chosen, whether `value` was handed over; false when the channel
// is closed. Only then, and when another case was chosen, `value` is as it was.
template <class T>
struct SendCase : detail::SelectCase {
    SendCase(Channel<T>& channel, T& value);
    SendCase(const SendCase&) = delete;

    bool sent = false;

  private:
    Channel<T>& channel_;
    T& value_;
    std::optional<typename Channel<T>::Wait> wait_;
};

template <class T>
ReceiveCase<T> on_receive(Channel<T>& channel) {
    return ReceiveCase<T>(channel);
}
template <class T>
SendCase<T> on_send(Channel<T>& channel, T& value) {
    return SendCase<T>(channel, value);
}
inline detail::SelectCase at(Time time) {
    return {.deadline = time};
}
inline detail::SelectCase after(Duration duration) {
    return {.deadline = from_now(duration)};
}
inline detail::SelectCase otherwise() {
    return {.otherwise = true};
}

template <class... Cases>
int select(Cases&&... cases) {
    static_assert(sizeof...(Cases) >= 1 && sizeof...(Cases) <= kSelectMax);
    const std::array<detail::SelectCase*, sizeof...(Cases)> all{&cases...};
    return detail::select(all);
}

template <class T>
ReceiveCase<T>::ReceiveCase(Channel<T>& channel) : channel_(channel) {
    lock = &channel.lock_;
    attempt = [](SelectCase& base, Waiter*& woken) {
        auto& self = static_cast<ReceiveCase&>(base);
        self.value.reset();
        return self.channel_.step_receive(self.value, woken) != Channel<T>::Step::wait;
    };
    enlist = [](SelectCase& base, const Waiter& first) {
        auto& self = static_cast<ReceiveCase&>(base);
        self.wait_.emplace(Waiter(first, nullptr));
        self.wait_->incoming = &self.value;
        self.channel_.receivers_.push_back(self.wait_->waiter);
        return &self.wait_->waiter;
    };
    withdraw = [](SelectCase& base) {
        auto& self = static_cast<ReceiveCase&>(base);
        self.channel_.receivers_.remove(self.wait_->waiter);
        return self.wait_->waiter.won;
    };
}

template <class T>
SendCase<T>::SendCase(Channel<T>& channel, T& value) : channel_(channel), value_(value) {
    lock = &channel.lock_;
    attempt = [](SelectCase& base, Waiter*& woken) {
        auto& self = static_cast<SendCase&>(base);
        const auto step = self.channel_.step_send(self.value_, woken);
        self.sent = step == Channel<T>::Step::done;
        return step != Channel<T>::Step::wait;
    };
    enlist = [](SelectCase& base, const Waiter& first) {
        auto& self = static_cast<SendCase&>(base);
        self.wait_.emplace(Waiter(first, nullptr));
        self.wait_->outgoing = &self.value_;
        self.channel_.senders_.push_back(self.wait_->waiter);
        return &self.wait_->waiter;
    };
    withdraw = [](SelectCase& base) {
        auto& self = static_cast<SendCase&>(base);
        self.channel_.senders_.remove(self.wait_->waiter);
        self.sent = self.wait_->done;
        return self.wait_->waiter.won;
    };
}

}  // namespace sluice::runtime
