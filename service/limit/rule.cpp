#include "service/limit/rule.h"

namespace sluice::limit {

Answer Rule::take_other(State& state, std::uint64_t cost, Nanos now) const {
    if (const auto* fixed = std::get_if<FixedWindow>(&form_)) return fixed->take(state, cost, now);
    if (const auto* sliding = std::get_if<SlidingWindow>(&form_)) return sliding->take(state, cost, now);
    return std::get<InFlight>(form_).take(state, cost);
}

Nanos Rule::until(const State& state, std::uint64_t amount, Nanos now) const {
    if (const auto* bucket = std::get_if<Bucket>(&form_)) return bucket->until(state, amount, now);
    if (const auto* fixed = std::get_if<FixedWindow>(&form_)) return fixed->until(state, amount, now);
    if (const auto* sliding = std::get_if<SlidingWindow>(&form_)) return sliding->until(state, amount, now);
    return 0;
}

bool Rule::reads_as(const Rule& other) const {
    const auto *bucket = std::get_if<Bucket>(&form_), *its_bucket = std::get_if<Bucket>(&other.form_);
    if (bucket && its_bucket) return bucket->same_interval(*its_bucket);
    const auto *sliding = std::get_if<SlidingWindow>(&form_),
               *its_sliding = std::get_if<SlidingWindow>(&other.form_);
    if (sliding && its_sliding) return sliding->same_length(*its_sliding);
    return true;  // the end of a window, and what was counted: FixedWindow goes on from there by itself
}

State Rule::adopt(const State& state, const Rule& former, Nanos now) const {
    if (reads_as(former)) return state;
    if (const auto* bucket = std::get_if<Bucket>(&form_))
        return bucket->adopt(state, std::get<Bucket>(former.form_), now);
    return std::get<SlidingWindow>(form_).adopt(state, std::get<SlidingWindow>(former.form_), now);
}

std::uint64_t Rule::quota() const {
    if (const auto* bucket = std::get_if<Bucket>(&form_)) return bucket->burst();
    if (const auto* fixed = std::get_if<FixedWindow>(&form_)) return fixed->count();
    if (const auto* sliding = std::get_if<SlidingWindow>(&form_)) return sliding->count();
    return std::get<InFlight>(form_).max();
}

std::uint64_t Rule::window_seconds() const {
    if (const auto* bucket = std::get_if<Bucket>(&form_)) return bucket->window_seconds();
    if (const auto* fixed = std::get_if<FixedWindow>(&form_)) return fixed->window_seconds();
    if (const auto* sliding = std::get_if<SlidingWindow>(&form_)) return sliding->window_seconds();
    return 0;
}

}  // namespace sluice::limit
