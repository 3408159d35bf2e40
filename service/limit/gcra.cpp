#include "service/limit/gcra.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/check.h"

namespace sluice::limit {

namespace {

// 73 years. Twice as much is what adopt() makes of a debt that would not fit.
constexpr std::uint64_t kAges = std::uint64_t{1} << 61;

}  // namespace

Bucket::Bucket(std::uint64_t count, std::chrono::nanoseconds per, std::uint64_t burst) : burst_(burst) {
    const auto period = static_cast<std::uint64_t>(per.count());
    SLUICE_CHECK(count > 0 && period > 0 && burst > 0, "a bucket fills and holds something");
    const std::uint64_t common = std::gcd(count, period);
    SLUICE_CHECK(count / common <= std::numeric_limits<std::uint32_t>::max(), "a count below 2^32");
    numerator_ = period / common;
    denominator_ = static_cast<std::uint32_t>(count / common);
    interval_ = {numerator_ / denominator_, static_cast<std::uint32_t>(numerator_ % denominator_)};
    const Wide depth = static_cast<Wide>(burst) * numerator_;
    SLUICE_CHECK(depth / denominator_ < Wide{1} << 62, "a bucket fills within 146 years");
    depth_ = {static_cast<std::uint64_t>(depth / denominator_),
              static_cast<std::uint32_t>(depth % denominator_)};
}

/// Where the client's arrival time is, seen from `now`.
Bucket::Span Bucket::ahead(const State& state, Nanos now) const {
    if (state.tat < now) return {};
    // The remainder may be one of another rate, from before a reload.
    return {static_cast<std::uint64_t>(state.tat) - static_cast<std::uint64_t>(now),
            std::min(state.fraction, denominator_ - 1)};
}

Bucket::Span Bucket::plus(Span span, std::uint64_t tokens) const {
    if (tokens == 1) {  // nearly always; spares a division of 128 bits
        const std::uint64_t fraction = std::uint64_t{span.fraction} + interval_.fraction;
        const bool carry = fraction >= denominator_;
        return {span.whole + interval_.whole + carry,
                static_cast<std::uint32_t>(fraction - (carry ? denominator_ : 0))};
    }
    const Wide more = static_cast<Wide>(tokens) * numerator_ + span.fraction;
    return {span.whole + static_cast<std::uint64_t>(more / denominator_),
            static_cast<std::uint32_t>(more % denominator_)};
}

/// What a full bucket has more than one with `start` ahead, in whole tokens; and how long until there is one
/// more.
void Bucket::tell(const Span& start, Answer& answer) const {
    if (start > depth_) {
        answer.next_token = longer(plus(start, 1), depth_);
        return;
    }
    const std::uint64_t whole = depth_.whole - start.whole;
    std::uint64_t towards_next = 0;  // in denominators of a nanosecond
    if (whole < std::numeric_limits<std::uint64_t>::max() / denominator_ - 1) {  // one division of 64 bits
        const std::uint64_t room = whole * denominator_ + depth_.fraction - start.fraction;
        answer.remaining = room / numerator_;
        towards_next = room % numerator_;
    } else {
        const Wide room = static_cast<Wide>(whole) * denominator_ + depth_.fraction - start.fraction;
        answer.remaining = static_cast<std::uint64_t>(room / numerator_);
        towards_next = static_cast<std::uint64_t>(room % numerator_);
    }
    if (answer.remaining >= burst_) return;
    const std::uint64_t lacking = numerator_ - towards_next;
    answer.next_token = static_cast<Nanos>(lacking / denominator_ + (lacking % denominator_ > 0));
}

/// How much longer than `b` is `a`, rounded up to nanoseconds. REQUIRES: a >= b.
Nanos Bucket::longer(const Span& a, const Span& b) {
    return static_cast<Nanos>(a.whole - b.whole + (a.fraction > b.fraction));
}

Answer Bucket::take(State& state, std::uint64_t cost, Nanos now) const {
    Span start = ahead(state, now);
    // Further ahead than an empty bucket is. By a little: another thread's clock was read later than ours,
    // and it took the last token; cutting that off would give it back. By much: a reload made the bucket
    // smaller, or the clock stepped back. Then it counts as empty from here on, or it would stay so for
    // longer than filling takes.
    if (start > depth_ && start.whole - depth_.whole > kSkew) {
        start = depth_;
        state = at(start, now);
    }

    Answer answer;
    if (cost == 0) {
        answer.admitted = true;
    } else if (cost > burst_) {
        answer.retry_after = kNever;
    } else if (const Span after = plus(start, cost); after > depth_) {
        answer.retry_after = longer(after, depth_);
    } else {
        answer.admitted = true;
        state = at(start = after, now);
    }
    tell(start, answer);
    return answer;
}

Nanos Bucket::until(const State& state, std::uint64_t tokens, Nanos now) const {
    if (static_cast<Wide>(tokens) * numerator_ / denominator_ >= Wide{1} << 62) return kNever;
    const Span after = plus(std::min(ahead(state, now), depth_), tokens);
    return after > depth_ ? longer(after, depth_) : 0;
}

State Bucket::adopt(const State& state, const Bucket& former, Nanos now) const {
    const Span owed = former.ahead(state, now);
    if (owed == Span{}) return {};
    const std::uint64_t most = std::max(burst_, former.burst_);
    Wide tokens = most;
    Wide rest = 0;  // of a token, in numerators of the former interval
    if (owed.whole < kAges) {
        const Wide time = static_cast<Wide>(owed.whole) * former.denominator_ + owed.fraction;
        if (time >> 64 == 0) {  // nearly always; spares a division of 128 bits
            tokens = static_cast<std::uint64_t>(time) / former.numerator_;
            rest = static_cast<std::uint64_t>(time) % former.numerator_;
        } else {
            tokens = time / former.numerator_;
            rest = time % former.numerator_;
        }
        if (tokens >= most) tokens = most, rest = 0;
    }
    // Neither product overflows: a numerator is a time, below 2^63.
    const Wide part = rest == 0 ? 0 : (rest * numerator_ + former.numerator_ - 1) / former.numerator_;
    const Wide time = tokens * numerator_ + part;
    if (time / denominator_ >= 2 * kAges) return at({2 * kAges, 0}, now);
    return at(
        {static_cast<std::uint64_t>(time / denominator_), static_cast<std::uint32_t>(time % denominator_)},
        now);
}

std::uint64_t Bucket::window_seconds() const {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    return (depth_.whole + (depth_.fraction > 0) + kSecond - 1) / kSecond;
}

}  // namespace sluice::limit
