#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "runtime/atomics.h"

namespace sluice::runtime {

// IdleSet: which workers sleep, and how many look for work. Together they decide whether new work wakes
// somebody.
//
// No wakeup is lost, since both sides first write and then read, with a full fence between:
//
//   publisher                              worker
//   1. makes work visible (queue, flag)    1. add(): it is idle          (seq_cst)
//   2. seq_cst fence                       2. end_search(), if it was searching  (seq_cst)
//   3. somebody idle, nobody searching?    3. looks at every queue and at the stop flag again
//      claim() one and wake it             4. sleeps
//
// Whichever comes second sees the other. A claimed worker counts as searching from the claim on, so that a
// burst of work wakes one worker, and that one, when it was the last searcher and found something, the next.
template <class Atomics>
class BasicIdleSet {
    template <class T>
    using Atomic = typename Atomics::template Atomic<T>;

  public:
    static constexpr unsigned kMax = 256;

    // add() announces that `worker` is about to sleep; it must look at all sources of work again before it
    // does.
    void add(unsigned worker) { word(worker).fetch_or(bit(worker), std::memory_order_seq_cst); }

    // remove() takes a worker out that woke by itself. False: somebody has claimed it; it counts as
    // searching.
    bool remove(unsigned worker) {
        return (word(worker).fetch_and(~bit(worker), std::memory_order_seq_cst) & bit(worker)) != 0;
    }

    // claim() takes an idle worker out, counted as searching from now on; the caller must wake it.
    std::optional<unsigned> claim() {
        for (unsigned w = 0; w < words_.size(); ++w) {
            std::uint64_t seen = words_[w].load(std::memory_order_seq_cst);
            while (seen != 0) {
                const unsigned index = static_cast<unsigned>(std::countr_zero(seen));
                if (words_[w].compare_exchange_weak(seen, seen & (seen - 1), std::memory_order_seq_cst)) {
                    searching_.fetch_add(1, std::memory_order_seq_cst);
                    return w * 64 + index;
                }
            }
        }
        return std::nullopt;
    }

    // to_wake() is the publisher's steps 2 and 3: whom to wake after work was made visible. A worker that
    // publishes leaves it to those who search already; who is none does not, since they may have looked at
    // everything but this.
    std::optional<unsigned> to_wake(bool by_worker) {
        Atomics::full_fence();
        if (!any() || (by_worker && searching() != 0)) return std::nullopt;
        return claim();
    }

    // claim_this() is claim() of one particular worker. False when it is not idle.
    bool claim_this(unsigned worker) {
        if (!remove(worker)) return false;
        searching_.fetch_add(1, std::memory_order_seq_cst);
        return true;
    }

    bool contains(unsigned worker) const {
        return (words_[worker / 64].load(std::memory_order_relaxed) & bit(worker)) != 0;
    }

    bool any() const {
        for (const auto& w : words_) {
            if (w.load(std::memory_order_seq_cst) != 0) return true;
        }
        return false;
    }

    unsigned count() const {
        unsigned n = 0;
        for (const auto& w : words_)
            n += static_cast<unsigned>(std::popcount(w.load(std::memory_order_relaxed)));
        return n;
    }

    // try_search() counts the caller as searching, unless half of the `busy` workers do so already.
    bool try_search(unsigned busy) {
        if (2 * searching_.load(std::memory_order_relaxed) >= busy) return false;
        searching_.fetch_add(1, std::memory_order_seq_cst);
        return true;
    }

    // end_search() is due when a searcher has found work or gives up. True: it was the last.
    bool end_search() { return searching_.fetch_sub(1, std::memory_order_seq_cst) == 1; }

    unsigned searching() const { return searching_.load(std::memory_order_seq_cst); }

  private:
    static std::uint64_t bit(unsigned worker) { return std::uint64_t{1} << (worker % 64); }
    Atomic<std::uint64_t>& word(unsigned worker) { return words_[worker / 64]; }

    alignas(64) std::array<Atomic<std::uint64_t>, kMax / 64> words_{};
    alignas(64) Atomic<unsigned> searching_{0};
};

using IdleSet = BasicIdleSet<StdAtomics>;

}  // namespace sluice::runtime
