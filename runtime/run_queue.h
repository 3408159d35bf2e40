#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "runtime/atomics.h"

namespace sluice::runtime {

// RunQueue: a worker's ring of runnable items. push(), pop() and spill_half() are the owner's; steal_half()
// anyone's. No lock, no allocation, first in, first out.
//
// head_ is advanced by whoever takes items, by compare-and-swap; tail_ by the owner alone. A thief copies
// half of the items first and then claims them all by moving head_: had the owner taken any meanwhile, the
// swap fails and the copies are dropped. The counters run on and wrap; only their difference and low bits
// matter.
template <class T, std::uint32_t kCapacity = 256, class Atomics = StdAtomics>
class RunQueue {
    template <class V>
    using Atomic = typename Atomics::template Atomic<V>;
    static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

  public:
    // False when full.
    bool push(T* item) {
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        // acquire: pairs with the release of the swaps that took items, so that their slots are free to be
        // written.
        if (tail - head_.load(std::memory_order_acquire) >= kCapacity) return false;
        slot(tail).store(item, std::memory_order_relaxed);
        tail_.store(tail + 1, std::memory_order_release);  // pairs with the acquire in steal_half()
        return true;
    }

    // Nullptr when empty.
    T* pop() {
        std::uint32_t head = head_.load(std::memory_order_acquire);
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        while (head != tail) {
            T* const item = slot(head).load(std::memory_order_relaxed);
            if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                return item;
            }
        }
        return nullptr;
    }

    // pop_unshared() is pop() for a ring that nobody steals from: no read-modify-write.
    T* pop_unshared() {
        const std::uint32_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_.load(std::memory_order_relaxed)) return nullptr;
        T* const item = slot(head).load(std::memory_order_relaxed);
        head_.store(head + 1, std::memory_order_relaxed);
        return item;
    }

    // rotate_unshared() is pop_unshared(), and push() of another item if that found one.
    T* rotate_unshared(T* item) {
        const std::uint32_t head = head_.load(std::memory_order_relaxed);
        const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
        if (head == tail) return nullptr;
        T* const oldest = slot(head).load(std::memory_order_relaxed);
        slot(tail).store(item, std::memory_order_relaxed);
        head_.store(head + 1, std::memory_order_relaxed);
        tail_.store(tail + 1, std::memory_order_relaxed);
        return oldest;
    }

    // steal_half() moves the older half of the items, rounded up, to `thief`, whose owner calls; returns one
    // of them instead, to be run, or nullptr when there is nothing. REQUIRES: `thief` is empty.
    T* steal_half(RunQueue& thief) {
        const std::uint32_t to = thief.tail_.load(std::memory_order_relaxed);
        for (;;) {
            std::uint32_t head = head_.load(std::memory_order_acquire);
            const std::uint32_t tail = tail_.load(std::memory_order_acquire);
            const std::uint32_t size = tail - head;
            if (size == 0) return nullptr;
            if (size > kCapacity) continue;  // head was read long before tail
            const std::uint32_t count = size - size / 2;
            for (std::uint32_t i = 0; i < count; ++i) {
                thief.slot(to + i).store(slot(head + i).load(std::memory_order_relaxed),
                                         std::memory_order_relaxed);
            }
            if (!head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel,
                                               std::memory_order_relaxed)) {
                continue;
            }
            T* const last = thief.slot(to + count - 1).load(std::memory_order_relaxed);
            thief.tail_.store(to + count - 1, std::memory_order_release);
            return last;
        }
    }

    // spill_half() takes the older half out of a full ring and hands each to sink(item).
    template <class Sink>
    void spill_half(Sink&& sink) {
        for (std::uint32_t i = 0; i < kCapacity / 2; ++i) {
            T* const item = pop();
            if (item == nullptr) return;
            sink(item);
        }
    }

    // Exact for the owner when nobody steals; for others a glimpse.
    std::uint32_t size() const {
        const std::uint32_t head = head_.load(std::memory_order_acquire);
        const std::uint32_t size = tail_.load(std::memory_order_acquire) - head;
        return size > kCapacity ? kCapacity : size;
    }
    bool empty() const {
        return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
    }

  private:
    Atomic<T*>& slot(std::uint32_t index) { return slots_[index & (kCapacity - 1)]; }

    alignas(64) Atomic<std::uint32_t> head_{0};
    alignas(64) Atomic<std::uint32_t> tail_{0};
    std::array<Atomic<T*>, kCapacity> slots_{};
};

}  // namespace sluice::runtime
