#include "service/limit/window.h"

#include <algorithm>

#include "runtime/check.h"

namespace sluice::limit {

namespace {

constexpr std::uint64_t kCountMax = std::numeric_limits<std::uint32_t>::max();
constexpr Nanos kPerMax = Nanos{1} << 60;

Nanos window_of(std::uint64_t count, std::chrono::nanoseconds per) {
    SLUICE_CHECK(count > 0 && count <= kCountMax, "a window counts from 1 to 2^32 - 1");
    SLUICE_CHECK(per.count() > 0 && per.count() <= kPerMax, "a window of at most 36 years");
    return per.count();
}

std::uint64_t seconds_up(Nanos time) {
    constexpr Nanos kSecond = 1'000'000'000;
    return static_cast<std::uint64_t>(time / kSecond + (time % kSecond > 0));
}

std::uint32_t counter(std::uint64_t count) {
    return static_cast<std::uint32_t>(std::min(count, kCountMax));
}

/// So many windows after `time`, or never.
Nanos windows_later(Nanos time, std::uint64_t windows, Nanos per) {
    const std::uint64_t most = (std::uint64_t{1} << 62) / static_cast<std::uint64_t>(per);
    return windows > most ? kNever : time + static_cast<Nanos>(windows) * per;
}

bool beyond_skew(Nanos ahead) {
    return ahead > static_cast<Nanos>(kSkew);
}

}  // namespace

FixedWindow::FixedWindow(std::uint64_t count, std::chrono::nanoseconds per)
    : count_(count), per_(window_of(count, per)) {}

/// The window to count in, seen from `now`, and what is counted there already.
State FixedWindow::current(const State& state, Nanos now) const {
    const Nanos end = (now / per_ + 1) * per_;
    if (state.tat <= now) return {end, 0};
    // Another thread's clock was later, and it counts in the next window: so do we.
    if (state.tat > end && !beyond_skew(state.tat - end)) return state;
    return {end, state.fraction};  // after a reload, windows were of another length
}

Answer FixedWindow::take(State& state, std::uint64_t cost, Nanos now) const {
    State window = current(state, now);
    const std::uint64_t left = count_ - std::min<std::uint64_t>(window.fraction, count_);
    Answer answer{.admitted = cost <= left, .remaining = left};
    if (answer.admitted && cost > 0) {
        window.fraction += counter(cost);
        state = window;
        answer.remaining = left - cost;
    } else if (!answer.admitted) {
        answer.retry_after = cost > count_ ? kNever : window.tat - now;
        if (window.fraction > 0) state = window;  // or one that was moved would be with each refusal
    }
    if (answer.remaining < count_) answer.next_token = window.tat - now;
    return answer;
}

Nanos FixedWindow::until(const State& state, std::uint64_t amount, Nanos now) const {
    const State window = current(state, now);
    const std::uint64_t left = count_ - std::min<std::uint64_t>(window.fraction, count_);
    if (amount <= left) return 0;
    return windows_later(window.tat - now, (amount - left - 1) / count_, per_);
}

std::uint64_t FixedWindow::window_seconds() const {
    return seconds_up(per_);
}

SlidingWindow::SlidingWindow(std::uint64_t count, std::chrono::nanoseconds per)
    : count_(count), per_(window_of(count, per)) {
    SLUICE_CHECK(count < static_cast<std::uint64_t>(per_), "less than one for each nanosecond");
}

/// REQUIRES: `most` is the count, or more where a reload may have made that smaller.
SlidingWindow::Counts SlidingWindow::read(const State& state, Nanos now, std::uint64_t most) const {
    const Nanos begin = now / per_ * per_;
    if (state.tat <= now) return {.begin = begin};
    const Nanos weighs_until = state.tat / per_ * per_;
    const auto before = static_cast<std::uint64_t>(state.tat - weighs_until);
    const Nanos windows = weighs_until - begin;
    // More than there is now was counted before a reload: that is all there is.
    const std::uint64_t counted = std::min<std::uint64_t>(state.fraction, most);
    if (windows <= 0 && before <= most) return {.begin = begin};
    if (before <= kCountMax) {  // or it is no count, but a rest of another length
        const std::uint64_t weighs = std::min(before, most);
        if (windows == per_) return {begin, counted, 0};
        if (windows == 2 * per_) return {begin, weighs, counted};
        if (windows > 2 * per_ && !beyond_skew(windows - 2 * per_))  // another thread's clock was later
            return {weighs_until - 2 * per_, weighs, counted};
    }
    // Of windows of another length, or of a clock that stepped back since: counted just now, then.
    return {begin, 0, counted, true};
}

State SlidingWindow::write(const Counts& counts) const {
    const auto before = std::min<std::uint64_t>(counts.before, static_cast<std::uint64_t>(per_) - 1);
    return {counts.begin + 2 * per_ + static_cast<Nanos>(before), counter(counts.counted)};
}

/// What weighs, rounded up to whole requests.
std::uint64_t SlidingWindow::used(const Counts& counts, Nanos elapsed) const {
    const auto per = static_cast<std::uint64_t>(per_);
    const Wide weight = static_cast<Wide>(counts.before) * static_cast<std::uint64_t>(per_ - elapsed);
    return counts.counted + static_cast<std::uint64_t>((weight + per - 1) / per);
}

/// What may still be counted, in whole requests.
std::uint64_t SlidingWindow::left(const Counts& counts, Nanos elapsed) const {
    return count_ - std::min(used(counts, elapsed), count_);
}

// Not cut down to either count: a smaller one that comes and goes would give the rest back.
State SlidingWindow::adopt(const State& state, const SlidingWindow& former, Nanos now) const {
    const Counts counts = former.read(state, now, kCountMax);
    const std::uint64_t used = former.used(counts, std::max<Nanos>(0, now - counts.begin));
    if (used == 0) return {};
    return write({.begin = now / per_ * per_, .counted = used});
}

/// How far into a window the window before weighs `room` at most: the first nanosecond with
/// weight × (per − at) ≤ room × per.
Nanos SlidingWindow::light_at(std::uint64_t weight, std::uint64_t room) const {
    if (weight <= room) return 0;
    return per_ - static_cast<Nanos>(static_cast<Wide>(room) * static_cast<std::uint64_t>(per_) / weight);
}

/// How long until `cost` would be admitted if nobody else came. REQUIRES: cost <= count.
Nanos SlidingWindow::room_for(const Counts& counts, std::uint64_t cost, Nanos elapsed) const {
    if (counts.counted + cost <= count_)
        return std::max<Nanos>(0, light_at(counts.before, count_ - counts.counted - cost) - elapsed);
    return per_ - elapsed + light_at(counts.counted, count_ - cost);
}

Answer SlidingWindow::take(State& state, std::uint64_t cost, Nanos now) const {
    Counts counts = read(state, now, count_);
    const Nanos early = std::max<Nanos>(0, counts.begin - now);
    const Nanos elapsed = std::max<Nanos>(0, now - counts.begin);
    const std::uint64_t left_now = left(counts, elapsed);
    Answer answer{.admitted = cost <= left_now, .remaining = left_now};
    if (answer.admitted && cost > 0) {
        counts.counted += cost;
        state = write(counts);
        answer.remaining = left_now - cost;
    } else if (!answer.admitted) {
        answer.retry_after = cost > count_ ? kNever : early + room_for(counts, cost, elapsed);
        if (counts.moved) state = write(counts);  // or it would be moved along with each refusal
    }
    if (answer.remaining < count_)
        answer.next_token = early + room_for(counts, answer.remaining + 1, elapsed);
    return answer;
}

// Where the window before weighs anything, one of `count` has room only when it weighs nothing any more: in
// the next window.
Nanos SlidingWindow::until(const State& state, std::uint64_t amount, Nanos now) const {
    const Counts counts = read(state, now, count_);
    const Nanos early = std::max<Nanos>(0, counts.begin - now);
    const Nanos elapsed = std::max<Nanos>(0, now - counts.begin);
    std::uint64_t left = count_ - std::min(counts.counted, count_);
    if (counts.before > 0 && left > 0) --left;
    if (amount <= left) return early + room_for(counts, amount, elapsed);

    amount -= left;
    std::uint64_t before = counts.counted + left;
    std::uint64_t windows = 0;  // after the one that comes next
    for (;; ++windows) {
        left = count_ - (before > 0);
        if (amount > left && count_ == 1 && before > 0) {  // one in each second window
            windows += 2 * (amount - 1);
            amount = 1;
        } else if (amount > left && count_ > 1 && before + 1 == count_) {  // as many in each
            windows += (amount - 1) / left;
            amount = (amount - 1) % left + 1;
        }
        if (amount <= left) break;
        amount -= left;
        before = left;
    }
    return windows_later(early + per_ - elapsed + light_at(before, count_ - amount), windows, per_);
}

std::uint64_t SlidingWindow::window_seconds() const {
    return seconds_up(per_);
}

}  // namespace sluice::limit
