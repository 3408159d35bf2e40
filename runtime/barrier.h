#pragma once

#include <atomic>

namespace sluice::runtime {

// The two sides of an asymmetric fence: what is done millions of times a second pays a compiler barrier, what
// is done seldom interrupts every processor that runs this process (membarrier(2), some microseconds).
// Together they order like a full fence on both sides.
//
//     often: a = 1; light_barrier(); if (b) …        seldom: b = 1; if (heavy_barrier() && !a) …
inline void light_barrier() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

// False: this kernel, or a sandbox, does not have it, and the caller must leave what it was about to do.
bool heavy_barrier();

}  // namespace sluice::runtime
