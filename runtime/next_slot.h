#pragma once

#include "runtime/atomics.h"

namespace sluice::runtime {

// NextSlot: the one task that a worker runs next. put(), take() and empty() are the owner's and cost a few
// plain instructions; steal(), any other thread's, is for the slot of a worker that is stuck in a task, where
// what it holds would wait as long as that (tokio#4941).
//
//   owner                                       thief
//   1. at it = true                             1. thief = true
//   2. light barrier                            2. heavy barrier
//   3. thief? waits until it has gone           3. owner at it? gives up
//   4. takes or puts; at it = false             4. takes; thief = false
//
// Whichever comes second sees the other.
template <class T, class Atomics = StdAtomics>
class NextSlot {
    template <class V>
    using Atomic = typename Atomics::template Atomic<V>;

  public:
    // put() returns what was there before.
    T* put(T* item) {
        enter();
        T* const former = item_.load(std::memory_order_relaxed);
        item_.store(item, std::memory_order_release);  // pairs with the acquire in steal()
        leave();
        return former;
    }

    T* take() {
        if (empty()) return nullptr;
        return put(nullptr);
    }

    bool empty() const { return item_.load(std::memory_order_relaxed) == nullptr; }

    // Nullptr: nothing there, or the owner is not stuck after all.
    T* steal() {
        if (item_.load(std::memory_order_relaxed) == nullptr) return nullptr;
        if (thief_.exchange(true, std::memory_order_acquire)) return nullptr;
        T* stolen = nullptr;
        if (Atomics::heavy_barrier() && !owner_at_it_.load(std::memory_order_acquire)) {
            stolen = item_.load(std::memory_order_acquire);
            item_.store(nullptr, std::memory_order_relaxed);
        }
        thief_.store(false, std::memory_order_release);
        return stolen;
    }

  private:
    void enter() {
        owner_at_it_.store(true, std::memory_order_relaxed);
        Atomics::light_barrier();
        while (thief_.load(std::memory_order_acquire)) Atomics::pause();
    }
    void leave() { owner_at_it_.store(false, std::memory_order_release); }

    Atomic<T*> item_{nullptr};
    Atomic<bool> owner_at_it_{false};
    Atomic<bool> thief_{false};
};

}  // namespace sluice::runtime
