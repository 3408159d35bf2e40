#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace sluice::telemetry {

/// A bounded ring of bytes between one producer and one consumer, who may be different threads. Whole
/// messages go in, or nothing does; bytes come out.
///
/// head_ (producer) and tail_ (consumer) count bytes since the start and never wrap in practice; each side
/// keeps a copy of the other's and rereads it only when the copy says full or empty.
class ByteRing {
  public:
    /// REQUIRES: `capacity` is a power of two.
    explicit ByteRing(std::size_t capacity) : capacity_(capacity), bytes_(new char[capacity]) {}

    /// Producer: appends all of `message`, or returns false when it does not fit. The store is sequentially
    /// consistent: a producer that then finds the consumer's "awake" flag set knows that it will see this
    /// message.
    bool push(std::string_view message) noexcept {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        if (capacity_ - (head - tail_seen_) < message.size()) {
            tail_seen_ = tail_.load(std::memory_order_acquire);  // pairs with pop()
            if (capacity_ - (head - tail_seen_) < message.size()) return false;
        }
        const std::size_t at = head & (capacity_ - 1);
        const std::size_t first = std::min(message.size(), capacity_ - at);
        std::memcpy(bytes_.get() + at, message.data(), first);
        std::memcpy(bytes_.get(), message.data() + first, message.size() - first);
        head_.store(head + message.size(), std::memory_order_seq_cst);
        return true;
    }

    /// Producer: whether the consumer has still more than half of the ring to take.
    bool over_half() noexcept {
        const std::size_t head = head_.load(std::memory_order_relaxed);
        if (head - tail_seen_ <= capacity_ / 2) return false;
        tail_seen_ = tail_.load(std::memory_order_acquire);
        return head - tail_seen_ > capacity_ / 2;
    }

    /// Consumer: how many bytes there are to take, whole messages all.
    std::size_t size() const noexcept {
        return head_.load(std::memory_order_seq_cst) - tail_.load(std::memory_order_relaxed);
    }

    /// Consumer: the bytes that lie in one piece at the tail. Empty: nothing is left.
    std::span<const char> front() const noexcept {
        const std::size_t tail = tail_.load(std::memory_order_relaxed);
        const std::size_t at = tail & (capacity_ - 1);
        return {bytes_.get() + at, std::min(size(), capacity_ - at)};
    }

    /// Consumer: gives back the first `n` bytes of front().
    void pop(std::size_t n) noexcept {
        tail_.store(tail_.load(std::memory_order_relaxed) + n, std::memory_order_release);
    }

  private:
    const std::size_t capacity_;
    const std::unique_ptr<char[]> bytes_;

    alignas(64) std::atomic<std::size_t> head_{0};
    std::size_t tail_seen_ = 0;  // producer only
    alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace sluice::telemetry
