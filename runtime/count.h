#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::runtime {

// Count: a counter with one writer, readable by anyone: no read-modify-write.
class Count {
  public:
    void add(std::uint64_t n = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_release);
    }
    std::uint64_t get() const { return value_.load(std::memory_order_acquire); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

}  // namespace sluice::runtime
