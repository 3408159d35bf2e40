#pragma once

// Counting in windows of time, aligned to the steady clock: the n-th begins at n × per. Plain data and
// arithmetic, as gcra.h.
//
// FixedWindow admits `count` in each window, and so up to twice as many around the border of two.
//
// SlidingWindow makes that border smooth with two counters: what was counted in the window before weighs as
// much as of it would still lie within `per`, were it spread evenly. A request is admitted while
//
//     before × (per − elapsed) / per + counted + cost ≤ count
//
// without rounding: products of 128 bits are compared.

#include <chrono>
#include <cstdint>

#include "service/limit/state.h"

namespace sluice::limit {

/// State: the end of the window (tat) and what was counted in it (fraction).
class FixedWindow {
  public:
    /// REQUIRES: count and per are positive; count < 2^32; per <= 2^60.
    FixedWindow(std::uint64_t count, std::chrono::nanoseconds per);

    /// Takes `cost` of what the window has left, if it is there. A cost of 0 is always admitted.
    Answer take(State& state, std::uint64_t cost, Nanos now) const;
    /// How long until `amount` could be counted one by one, as soon as there is room; kNever: for longer than
    /// 146 years.
    Nanos until(const State& state, std::uint64_t amount, Nanos now) const;

    std::uint64_t count() const { return count_; }
    std::uint64_t window_seconds() const;

  private:
    State current(const State& state, Nanos now) const;

    std::uint64_t count_;
    Nanos per_;
};

/// State: when nothing of what was counted weighs any more, two windows after the beginning of the one that
/// it was counted in, and as many nanoseconds later as were counted in the window before (tat); what was
/// counted (fraction). That leaves the counter of the window before no more than `per` nanoseconds, hence
/// count < per.
class SlidingWindow {
  public:
    /// REQUIRES: count and per are positive; count < 2^32; count < per in nanoseconds; per <= 2^60.
    SlidingWindow(std::uint64_t count, std::chrono::nanoseconds per);

    /// As FixedWindow's.
    Answer take(State& state, std::uint64_t cost, Nanos now) const;
    Nanos until(const State& state, std::uint64_t amount, Nanos now) const;

    /// Whether the windows are as long.
    bool same_length(const SlidingWindow& other) const { return per_ == other.per_; }
    /// What `former` would still weigh at `now`, rounded up to whole requests, as if counted just then.
    State adopt(const State& state, const SlidingWindow& former, Nanos now) const;

    std::uint64_t count() const { return count_; }
    std::uint64_t window_seconds() const;

  private:
    __extension__ using Wide = unsigned __int128;

    struct Counts {
        Nanos begin = 0;  // of the window; later than `now` by what another thread's clock was ahead
        std::uint64_t before = 0;
        std::uint64_t counted = 0;
        bool moved = false;  // from where it cannot have been
    };
    Counts read(const State& state, Nanos now, std::uint64_t most) const;
    State write(const Counts& counts) const;
    std::uint64_t used(const Counts& counts, Nanos elapsed) const;
    std::uint64_t left(const Counts& counts, Nanos elapsed) const;
    Nanos room_for(const Counts& counts, std::uint64_t cost, Nanos elapsed) const;
    Nanos light_at(std::uint64_t weight, std::uint64_t room) const;

    std::uint64_t count_;
    Nanos per_;
};

}  // namespace sluice::limit
