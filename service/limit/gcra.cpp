#include "service/limit/gcra.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace sluice::limit {

Bucket::Bucket(std::uint64_t count, std::chrono::nanoseconds per, std::uint64_t burst) : burst_(burst) {
    const auto period = static_cast<std::uint64_t>(per.count());
    const std::uint64_t common = std::gcd(count, period);
    numerator_ = period / common;
    denominator_ = static_cast<std::uint32_t>(count / common);
    interval_whole_ = numerator_ / denominator_;
    interval_fraction_ = static_cast<std::uint32_t>(numerator_ % denominator_);
    const Wide depth = static_cast<Wide>(burst) * numerator_;
    depth_whole_ = static_cast<Nanos>(depth / denominator_);
    depth_fraction_ = static_cast<std::uint32_t>(depth % denominator_);
}

Bucket::State Bucket::plus(State state, std::uint64_t tokens) const {
    if (tokens == 1) {  // nearly always; spares a division of 128 bits
        state.tat += static_cast<Nanos>(interval_whole_);
        std::uint64_t fraction = std::uint64_t{state.fraction} + interval_fraction_;
        if (fraction >= denominator_) {
            fraction -= denominator_;
            ++state.tat;
        }
        state.fraction = static_cast<std::uint32_t>(fraction);
        return state;
    }
    const Wide more = static_cast<Wide>(tokens) * numerator_ + state.fraction;
    state.tat += static_cast<Nanos>(more / denominator_);
    state.fraction = static_cast<std::uint32_t>(more % denominator_);
    return state;
}

// Whole tokens that fit between `from` and `to`; 0 when `from` is later.
std::uint64_t Bucket::tokens_between(const State& from, Nanos to_whole, std::uint32_t to_fraction) const {
    if (from.tat > to_whole || (from.tat == to_whole && from.fraction > to_fraction)) return 0;
    const auto whole = static_cast<std::uint64_t>(to_whole - from.tat);
    if (whole < std::numeric_limits<std::uint64_t>::max() / denominator_ - 1)  // one division of 64 bits
        return (whole * denominator_ + to_fraction - from.fraction) / numerator_;
    return static_cast<std::uint64_t>(
        (static_cast<Wide>(whole) * denominator_ + to_fraction - from.fraction) / numerator_);
}

Bucket::Answer Bucket::take(State& state, std::uint64_t cost, Nanos now) const {
    const Nanos brim = now + depth_whole_;  // with depth_fraction_: the TAT of an empty bucket
    State start = state;
    if (start.tat < now) start = {now, 0};
    // Later than an empty bucket's: the clock stepped back, or a reload made the bucket smaller. Empty, then,
    // not worse.
    if (start.tat > brim || (start.tat == brim && start.fraction > depth_fraction_))
        start = {brim, depth_fraction_};
    start.fraction = std::min(start.fraction, denominator_ - 1);  // of another rate, before a reload

    Answer answer;
    const State after = cost <= burst_ ? plus(start, cost) : State{std::numeric_limits<Nanos>::max(), 0};
    answer.admitted = after.tat < brim || (after.tat == brim && after.fraction <= depth_fraction_);
    if (answer.admitted)
        state = start = after;
    else if (cost <= burst_)
        answer.retry_after = after.tat - brim + (after.fraction > depth_fraction_);
    else
        answer.retry_after = std::numeric_limits<Nanos>::max();  // never: the bucket is not that large
    answer.remaining = tokens_between(start, brim, depth_fraction_);
    if (answer.remaining < burst_) {
        const State next = plus(start, answer.remaining + 1);
        answer.next_token = next.tat - brim + (next.fraction > depth_fraction_);
    }
    return answer;
}

void Bucket::give_back(State& state, std::uint64_t cost) const {
    const Wide less = static_cast<Wide>(cost) * numerator_;
    const auto fraction = static_cast<std::uint32_t>(less % denominator_);
    state.tat -= static_cast<Nanos>(less / denominator_);
    if (state.fraction < fraction) {
        --state.tat;
        state.fraction += denominator_;
    }
    state.fraction -= fraction;
}

std::uint64_t Bucket::window_seconds() const {
    constexpr Nanos kSecond = 1'000'000'000;
    return static_cast<std::uint64_t>((depth_whole_ + (depth_fraction_ > 0) + kSecond - 1) / kSecond);
}

}  // namespace sluice::limit
