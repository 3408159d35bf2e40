#pragma once

// The token bucket as GCRA, the generic cell rate algorithm (ITU-T I.371): one time per client, the
// theoretical arrival time (TAT) at which its bucket would be full again. A bucket of `burst` tokens that
// refills at count/per admits exactly the requests that x/time/rate's limiter would.
//
// Exact: the emission interval per/count is a fraction, and the TAT carries its remainder along, so that a
// million steps at 3/s drift by nothing. Plain data and arithmetic: no clock, no lock; `now` is an argument.

#include <chrono>
#include <compare>
#include <cstdint>

#include "service/limit/state.h"

namespace sluice::limit {

/// A rate and a burst, made ready for arithmetic.
class Bucket {
  public:
    /// `count` tokens each `per`, at most `burst` at once. REQUIRES: count, per and burst are positive;
    /// count < 2^32; burst × per / count is below 146 years.
    Bucket(std::uint64_t count, std::chrono::nanoseconds per, std::uint64_t burst);

    /// Takes `cost` tokens if they are there. A cost of 0 is always admitted. Calls for one state may come
    /// with times up to a second out of order: none gets more for it.
    Answer take(State& state, std::uint64_t cost, Nanos now) const;
    /// What take() would answer.
    Answer peek(State state, std::uint64_t cost, Nanos now) const { return take(state, cost, now); }

    /// How long until `tokens` could be taken one after the other, as soon as they are there; kNever: for
    /// longer than 146 years.
    Nanos until(const State& state, std::uint64_t tokens, Nanos now) const;

    /// Whether a time is as many tokens as under the other.
    bool same_interval(const Bucket& other) const {
        return numerator_ == other.numerator_ && denominator_ == other.denominator_;
    }
    /// The state with as many tokens owed at `now` as under `former`, fractions included: no less, and at
    /// most a nanosecond more. Not more than the larger of both bursts; and what would take 73 years to flow
    /// in, or more, is that.
    State adopt(const State& state, const Bucket& former, Nanos now) const;

    std::uint64_t burst() const { return burst_; }
    /// How long an empty bucket takes to fill, in whole seconds, rounded up: `w` of RateLimit-Policy.
    std::uint64_t window_seconds() const;

  private:
    __extension__ using Wide = unsigned __int128;

    /// A time from now on, as exact as State.
    struct Span {
        std::uint64_t whole = 0;
        std::uint32_t fraction = 0;
        auto operator<=>(const Span&) const = default;
    };
    static State at(const Span& span, Nanos now) {
        return {now + static_cast<Nanos>(span.whole), span.fraction};
    }
    static Nanos longer(const Span& a, const Span& b);
    Span ahead(const State& state, Nanos now) const;
    Span plus(Span span, std::uint64_t tokens) const;
    void tell(const Span& start, Answer& answer) const;

    // The interval of one token is numerator_/denominator_ ns, in lowest terms.
    std::uint64_t numerator_;
    std::uint32_t denominator_;
    Span interval_;
    std::uint64_t burst_;
    Span depth_;  // burst_ intervals: how far ahead the arrival time of an empty bucket is
};

}  // namespace sluice::limit
