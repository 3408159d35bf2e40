#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "runtime/wait_list.h"

namespace sluice::runtime {

// Channel: hands values from tasks to tasks, in order.
//
//     Channel<Job> jobs(16);
//     go([&] { for (Job& job : jobs) run(job); });
//     jobs.send(std::move(job));
//     jobs.close();
//
// With no capacity a send meets a receive: each waits for the other. With one, a send parks only when that
// many values wait to be received. A value goes straight to a receiver that waits; those who wait are served
// in the order in which they came. Any task may send and receive; any thread may try_send, try_receive and
// close.
//
// May be destroyed by whoever received the last value, while its send() is still on its way out.
template <class T, class Host = OnTasks>
class Channel {
    static_assert(std::is_nothrow_move_constructible_v<T>, "values are moved under a lock");

  public:
    explicit Channel(std::size_t capacity = 0)
        : capacity_(capacity), buffer_(capacity != 0 ? new Cell[capacity] : nullptr) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    ~Channel() {
        while (size_ != 0) take_oldest();
    }

    // send() hands `value` over or puts it into the buffer, parking until either is possible. False: the
    // channel is closed, or this task was cancelled or its deadline passed; the value is lost.
    bool send(T value);
    // try_send() sends if that needs no waiting. False: `value` is as it was.
    bool try_send(T& value);
    bool try_send(T&& value) { return try_send(value); }

    // receive() returns the oldest value, parking until there is one; nullopt when the channel is closed and
    // empty, or this task was cancelled or its deadline passed.
    std::optional<T> receive() {
        std::optional<T> value;
        receive_into(value);
        return value;
    }
    // try_receive() receives if that needs no waiting.
    std::optional<T> try_receive();

    // close() ends the channel: what was buffered can still be received; sends fail, also those under way.
    void close();

    // for (T& value : channel) receives until the channel is closed and empty.
    class Iterator;
    Iterator begin() { return Iterator(*this); }
    std::default_sentinel_t end() const { return {}; }

  private:
    template <class>
    friend struct ReceiveCase;
    template <class>
    friend struct SendCase;

    // A task that waits, with the place its value comes from or goes to.
    struct Wait {
        explicit Wait(Waiter w) : waiter(w) { waiter.payload = this; }
        static Wait& of(Waiter& waiter) { return *static_cast<Wait*>(waiter.payload); }

        Waiter waiter;
        T* outgoing = nullptr;
        std::optional<T>* incoming = nullptr;
        bool done = false;  // sent or received; else the channel was closed
    };

    struct Cell {
        alignas(T) std::byte bytes[sizeof(T)];
        T* value() { return std::launder(reinterpret_cast<T*>(bytes)); }
    };

    enum class Step { done, closed, wait };

    // receive(), into the caller's variable. A small optional that is returned in a register was put together
    // in memory just before, and is loaded before its parts have arrived there: a third of the time of a
    // receive().
    void receive_into(std::optional<T>& value);

    // The next four need lock_. What they wake, the caller unparks after letting go of it.
    Step step_send(T& value, Waiter*& woken);
    Step step_receive(std::optional<T>& value, Waiter*& woken);
    void put_newest(T& value);
    T take_oldest();

    static void wake(Waiter* woken) {
        if (woken != nullptr) Host::unpark(woken->task);
    }

    typename Host::Lock lock_;
    bool closed_ = false;  // guarded by lock_, as all below but the two that are fixed
    std::size_t first_ = 0;
    std::size_t size_ = 0;
    const std::size_t capacity_;
    const std::unique_ptr<Cell[]> buffer_;
    WaitList senders_;    // not empty: the buffer is full
    WaitList receivers_;  // not empty: the buffer is empty
};

template <class T, class Host>
class Channel<T, Host>::Iterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(Channel& channel) : channel_(&channel) { channel.receive_into(value_); }
    T& operator*() { return *value_; }
    Iterator& operator++() {
        value_.reset();
        channel_->receive_into(value_);
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) { return !it.value_.has_value(); }

  private:
    Channel* channel_;
    std::optional<T> value_;
};

template <class T, class Host>
bool Channel<T, Host>::send(T value) {
    Waiter* woken = nullptr;
    lock_.lock();
    const Step step = step_send(value, woken);
    if (step == Step::wait) {
        Wait wait(waiter_of(Host::waiting_task()));
        wait.outgoing = &value;
        wait_in<Host>(senders_, lock_, wait.waiter, WaitReason::channel_send, this);
        return wait.done;
    }
    lock_.unlock();
    wake(woken);
    return step == Step::done;
}

template <class T, class Host>
bool Channel<T, Host>::try_send(T& value) {
    Waiter* woken = nullptr;
    lock_.lock();
    Step step = step_send(value, woken);
    lock_.unlock();
    wake(woken);
    return step == Step::done;
}

template <class T, class Host>
void Channel<T, Host>::receive_into(std::optional<T>& value) {
    Waiter* woken = nullptr;
    lock_.lock();
    if (step_receive(value, woken) == Step::wait) {
        Wait wait(waiter_of(Host::waiting_task()));
        wait.incoming = &value;
        wait_in<Host>(receivers_, lock_, wait.waiter, WaitReason::channel_receive, this);
        return;
    }
    lock_.unlock();
    wake(woken);
}

template <class T, class Host>
std::optional<T> Channel<T, Host>::try_receive() {
    std::optional<T> value;
    Waiter* woken = nullptr;
    lock_.lock();
    step_receive(value, woken);
    lock_.unlock();
    wake(woken);
    return value;
}

template <class T, class Host>
void Channel<T, Host>::close() {
    WakeList wakes;
    lock_.lock();
    closed_ = true;
    while (Waiter* receiver = receivers_.claim_front()) wakes.push(receiver);
    while (Waiter* sender = senders_.claim_front()) wakes.push(sender);
    lock_.unlock();
    wakes.template unpark_all<Host>();
}

template <class T, class Host>
auto Channel<T, Host>::step_send(T& value, Waiter*& woken) -> Step {
    if (closed_) return Step::closed;
    if ((woken = receivers_.claim_front()) != nullptr) {
        Wait& receiver = Wait::of(*woken);
        receiver.incoming->emplace(std::move(value));
        receiver.done = true;
        return Step::done;
    }
    if (size_ == capacity_) return Step::wait;
    put_newest(value);
    return Step::done;
}

template <class T, class Host>
auto Channel<T, Host>::step_receive(std::optional<T>& value, Waiter*& woken) -> Step {
    if (size_ != 0) {
        value.emplace(take_oldest());
        // A sender that waits for room gets the place that has become free, at the end of the queue.
        if ((woken = senders_.claim_front()) != nullptr) {
            Wait& sender = Wait::of(*woken);
            put_newest(*sender.outgoing);
            sender.done = true;
        }
        return Step::done;
    }
    if ((woken = senders_.claim_front()) != nullptr) {  // no buffer: from hand to hand
        Wait& sender = Wait::of(*woken);
        value.emplace(std::move(*sender.outgoing));
        sender.done = true;
        return Step::done;
    }
    return closed_ ? Step::closed : Step::wait;
}

template <class T, class Host>
void Channel<T, Host>::put_newest(T& value) {
    std::size_t at = first_ + size_++;
    if (at >= capacity_) at -= capacity_;
    ::new (buffer_[at].bytes) T(std::move(value));
}

template <class T, class Host>
T Channel<T, Host>::take_oldest() {
    T* oldest = buffer_[first_].value();
    T value = std::move(*oldest);
    oldest->~T();
    if (++first_ == capacity_) first_ = 0;
    --size_;
    return value;
}

}  // namespace sluice::runtime
