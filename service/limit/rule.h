#pragma once

// One of the four algorithms with its settings, made ready for arithmetic: what a limit is to the table of
// clients. A value; a tag and a branch, no virtual call, the token bucket first.

#include <cstdint>
#include <variant>

#include "service/limit/gcra.h"
#include "service/limit/in_flight.h"
#include "service/limit/window.h"

namespace sluice::limit {

class Rule {
  public:
    Rule(const Bucket& bucket) : form_(bucket) {}
    Rule(const FixedWindow& window) : form_(window) {}
    Rule(const SlidingWindow& window) : form_(window) {}
    Rule(const InFlight& slots) : form_(slots) {}

    /// Takes `cost` if it is there. A cost of 0 is always admitted.
    Answer take(State& state, std::uint64_t cost, Nanos now) const {
        if (const auto* bucket = std::get_if<Bucket>(&form_)) [[likely]]
            return bucket->take(state, cost, now);
        return take_other(state, cost, now);
    }
    /// What take() would answer.
    Answer peek(State state, std::uint64_t cost, Nanos now) const { return take(state, cost, now); }

    /// How long until all of `amount` would be admitted, as requests that each come as soon as they can. May
    /// be more than quota(). Exact where each costs 1. 0: now, or nobody knows.
    Nanos until(const State& state, std::uint64_t amount, Nanos now) const;

    /// Whether a state means the same under both.
    bool reads_as(const Rule& other) const;
    /// The state with as much used at `now` as under `former`; itself where it means the same.
    State adopt(const State& state, const Rule& former, Nanos now) const;
    /// Since when states are such as it writes.
    Epoch epoch() const { return epoch_; }
    void set_epoch(Epoch epoch) { epoch_ = epoch; }

    /// What it takes is given back: ClientTable::release().
    const InFlight* in_flight() const { return std::get_if<InFlight>(&form_); }

    /// The most that it admits at once: `q` of RateLimit-Policy.
    std::uint64_t quota() const;
    /// How long it takes to be as new after all was used, in whole seconds, rounded up: `w`. 0: that is not a
    /// matter of time.
    std::uint64_t window_seconds() const;

  private:
    Answer take_other(State& state, std::uint64_t cost, Nanos now) const;

    std::variant<Bucket, FixedWindow, SlidingWindow, InFlight> form_;
    Epoch epoch_ = kFirstEpoch;
};

}  // namespace sluice::limit
