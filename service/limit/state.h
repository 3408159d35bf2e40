#pragma once

// What every algorithm has in common: the 12 bytes that a client's entry keeps for it, and its answer. Plain
// data; no clock: `now` is an argument everywhere.

#include <cstdint>
#include <limits>

namespace sluice::limit {

/// Nanoseconds on the steady clock.
using Nanos = std::int64_t;

/// The state of one client under one limit. What the numbers mean is the algorithm's affair, but for two
/// rules: zero is a client that was never seen, and one that owes nothing at `now` is no better off
/// forgotten.
struct State {
    Nanos tat = 0;               // token bucket: whole nanoseconds of the arrival time …
    std::uint32_t fraction = 0;  // … and this many denominators of one more
    bool operator==(const State&) const = default;
};

/// Counts the reloads that changed what states mean (RuleBook): a state and a rule are of one each. The rules
/// of tests, and of a process that was not reloaded, are of the first.
using Epoch = std::uint32_t;
inline constexpr Epoch kFirstEpoch = 1;

/// Whether a client in this state would be better off forgotten. Needs to know neither algorithm nor
/// settings, so that the janitor passes by for one comparison.
inline bool owes(const State& state, Nanos now) {
    return state.tat + (state.fraction > 0) > now;
}

/// retry_after of a request that costs more than the limit ever has.
inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

/// Threads read the clock before they take the lock: a state may be this far ahead of `now` and is believed.
/// What is farther is a clock that stepped back, or a reload: it owes what it owes in full, from now on.
inline constexpr std::uint64_t kSkew = 10'000'000'000;

struct Answer {
    bool admitted = false;
    std::uint64_t remaining = 0;  // whole tokens (or requests) left
    Nanos retry_after = 0;  // when refused: a request of the same cost that waits this long is admitted; 0:
                            // nobody knows (concurrency)
    Nanos next_token = 0;   // until one more is left than now; 0: all are, or nobody knows
};

}  // namespace sluice::limit
