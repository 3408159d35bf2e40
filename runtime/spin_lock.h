#pragma once

#include <atomic>

#include <sched.h>

namespace sluice::runtime {

// SpinLock: for sections of a few instructions that never park, allocate or call out. One read-modify-write
// to lock, a plain store to unlock. Usable with std::lock_guard.
class SpinLock {
  public:
    void lock() {
        while (held_.exchange(true, std::memory_order_acquire)) wait();
    }
    bool try_lock() {
        return !held_.load(std::memory_order_relaxed) && !held_.exchange(true, std::memory_order_acquire);
    }
    void unlock() { held_.store(false, std::memory_order_release); }

  private:
    // A holder that does not let go within some hundred cycles has lost its CPU: give it ours.
    [[gnu::noinline, gnu::cold]] void wait() const {
        for (int spins = 0; held_.load(std::memory_order_relaxed); ++spins) {
            if (spins < 64) {
#if defined(__x86_64__)
                __builtin_ia32_pause();
#elif defined(__aarch64__)
                asm volatile("yield");
#endif
            } else {
                ::sched_yield();
            }
        }
    }

    std::atomic<bool> held_{false};
};

}  // namespace sluice::runtime
