#pragma once

#include <sched.h>

#include "runtime/atomics.h"

namespace sluice::runtime {

// Backoff: one step of waiting for another thread to do a few instructions. After some steps it lets that
// thread run, which the system may have taken off the processor in the middle of them.
class Backoff {
  public:
    void pause() {
        if (++rounds_ % 64 == 0) {
            ::sched_yield();
        } else {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#elif defined(__aarch64__)
            asm volatile("yield" ::: "memory");
#endif
        }
    }

  private:
    unsigned rounds_ = 0;
};

// SpinLock: for sections of a few instructions that never park, allocate or call out. One read-modify-write
// to lock, a plain store to unlock. Usable with std::lock_guard.
template <class Atomics, class Wait>
class BasicSpinLock {
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
        for (Wait backoff; held_.load(std::memory_order_relaxed);) backoff.pause();
    }

    typename Atomics::template Atomic<bool> held_{false};
};

using SpinLock = BasicSpinLock<StdAtomics, Backoff>;

}  // namespace sluice::runtime
