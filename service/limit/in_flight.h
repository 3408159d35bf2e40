#pragma once

// Concurrency: at most `max` requests of a client in flight. No time in it: what is taken is given back, by
// who took it, when its request has ended.
//
// State: how many are in flight (fraction); and while any is, a number that names this use of the entry
// (tat), far beyond any time, so that it owes. The number is what a slot is given back under: an entry that
// was forgotten meanwhile and made anew carries another, and what it counts is not given back twice.

#include <algorithm>
#include <cstdint>

#include "service/limit/state.h"

namespace sluice::limit {

/// What a request holds of a limit that counts requests in flight; given back by ClientTable::release().
struct Slot {
    std::uint64_t use = 0;   // of the entry
    std::uint32_t cost = 0;  // 0: holds nothing
    bool shared = false;     // held of the shared bucket: the table was full
};

class InFlight {
  public:
    /// REQUIRES: max is positive and below 2^32.
    explicit InFlight(std::uint64_t max) : max_(max) {}

    /// Takes `cost` of the places that are free, `elsewhere` of them being in use by requests that this state
    /// does not count. A cost of 0 is always admitted.
    Answer take(State& state, std::uint64_t cost, std::uint64_t elsewhere = 0) const {
        const std::uint64_t left = max_ - std::min(state.fraction + elsewhere, max_);
        if (cost > left) return {.remaining = left, .retry_after = cost > max_ ? kNever : 0};
        state.fraction += static_cast<std::uint32_t>(cost);
        return {.admitted = true, .remaining = left - cost};
    }

    std::uint64_t max() const { return max_; }

    /// Marks a state as in use, under a number. To be called by who has just made it so.
    static void begin_use(State& state, std::uint64_t use) {
        state.tat = kInUse | (state.tat & kBeside) | static_cast<Nanos>(use << 1 & kUses);
    }
    static std::uint64_t use(const State& state) { return static_cast<std::uint64_t>(state.tat) & kUses; }
    /// Gives a slot back. What the state does not hold is not taken from it.
    static void give_back(State& state, std::uint32_t cost) {
        state.fraction -= std::min(cost, state.fraction);
        if (state.fraction == 0) state.tat &= kBeside;
    }

    /// An entry made while the client may be holding slots of the shared bucket: those are counted with it
    /// until none is left.
    static constexpr State fresh_beside_shared() { return {.tat = kBeside, .fraction = 0}; }
    static bool beside_shared(const State& state) { return (state.tat & kBeside) != 0; }
    static void forget_shared(State& state) { state.tat &= ~kBeside; }

  private:
    static constexpr Nanos kInUse = Nanos{1} << 62;
    static constexpr Nanos kBeside = 1;
    static constexpr std::uint64_t kUses = (std::uint64_t{1} << 60) - 2;

    std::uint64_t max_;
};

}  // namespace sluice::limit
