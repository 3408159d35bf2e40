#pragma once

#include <atomic>

#include "runtime/barrier.h"

namespace sluice::runtime {

// Atomics: what the data structures that several threads share are made of, as a template parameter: the
// standard's here, in tests/interleave those of a model checker that tries every order in which the threads'
// steps can happen.
struct StdAtomics {
    template <class T>
    using Atomic = std::atomic<T>;

    static void full_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
    static void light_barrier() { runtime::light_barrier(); }
    static bool heavy_barrier() { return runtime::heavy_barrier(); }
    static void pause() {}  // in a loop that waits for another thread
};

}  // namespace sluice::runtime
