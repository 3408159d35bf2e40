#include "service/telemetry/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace sluice::telemetry {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t kFirstDigits = 4;  // 1 µs, the first decade's lower bound, is 1000 ns

constexpr auto kPowersOfTen = [] {
    std::array<std::uint64_t, 20> powers{1};
    for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
    return powers;
}();

// The number of decimal digits of v > 0: 1233 / 4096 is log10(2), right or one too small.
std::size_t digits(std::uint64_t v) {
    const std::size_t guess = static_cast<std::size_t>(std::bit_width(v)) * 1233 >> 12;
    return guess + (v >= kPowersOfTen[guess]);
}

}  // namespace

std::size_t LatencyBuckets::index_of(nanoseconds latency) noexcept {
    if (latency <= nanoseconds(kPowersOfTen[kFirstDigits - 1])) return 0;
    const auto below = static_cast<std::uint64_t>(latency.count()) - 1;  // buckets are closed above
    const std::size_t decade = digits(below) - kFirstDigits;
    if (decade >= kDecades) return kCount - 1;
    const std::uint64_t leading_two = below / kPowersOfTen[decade + kFirstDigits - 2];  // 10..99
    return 1 + decade * kPerDecade + (leading_two - 10);
}

nanoseconds LatencyBuckets::upper_bound(std::size_t index) noexcept {
    if (index == 0) return nanoseconds(kPowersOfTen[kFirstDigits - 1]);
    if (index >= kCount - 1) return nanoseconds::max();
    const std::size_t decade = (index - 1) / kPerDecade;
    const std::uint64_t leading_two = (index - 1) % kPerDecade + 10;
    return nanoseconds((leading_two + 1) * kPowersOfTen[decade + kFirstDigits - 2]);
}

void LatencyShard::record(Adder add, nanoseconds latency) noexcept {
    add(buckets[LatencyBuckets::index_of(latency)]);
    add(sum_ns, static_cast<std::uint64_t>(std::max(latency, nanoseconds::zero()).count()));
}

void LatencyHistogram::merge(const LatencyShard& shard) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        const std::uint64_t n = shard.buckets[i].get();
        buckets_[i] += n;
        count_ += n;
    }
    sum_ns_ += shard.sum_ns.get();
}

void LatencyHistogram::merge(const LatencyHistogram& other) noexcept {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ns_ += other.sum_ns_;
}

LatencyHistogram LatencyHistogram::since(const LatencyHistogram& earlier) const noexcept {
    LatencyHistogram window;
    for (std::size_t i = 0; i < buckets_.size(); ++i) window.buckets_[i] = buckets_[i] - earlier.buckets_[i];
    window.count_ = count_ - earlier.count_;
    window.sum_ns_ = sum_ns_ - earlier.sum_ns_;
    return window;
}

nanoseconds LatencyHistogram::quantile(double q) const noexcept {
    if (count_ == 0) return nanoseconds::zero();
    const double share = std::ceil(q * static_cast<double>(count_));
    const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::max(share, 1.0)), 1, count_);
    std::size_t index = 0;
    for (std::uint64_t seen = buckets_[0]; seen < rank; seen += buckets_[++index]) {
    }
    const auto lower = index == 0 ? nanoseconds::zero() : LatencyBuckets::upper_bound(index - 1);
    if (index == LatencyBuckets::kCount - 1) return lower;
    return lower + (LatencyBuckets::upper_bound(index) - lower) / 2;
}

std::uint64_t LatencyHistogram::count_up_to(nanoseconds bound) const noexcept {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < buckets_.size() && LatencyBuckets::upper_bound(i) <= bound; ++i)
        n += buckets_[i];
    return n;
}

}  // namespace sluice::telemetry
