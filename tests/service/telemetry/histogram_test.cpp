#include "service/telemetry/histogram.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::telemetry {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

LatencyHistogram merged(const LatencyShard& shard) {
    LatencyHistogram histogram;
    histogram.merge(shard);
    return histogram;
}

TEST(LatencyBuckets, EachBucketHoldsItsUpperBoundAndNotTheNextNanosecond) {
    for (std::size_t i = 0; i + 1 < LatencyBuckets::kCount; ++i) {
        const nanoseconds bound = LatencyBuckets::upper_bound(i);
        EXPECT_EQ(LatencyBuckets::index_of(bound), i) << bound.count();
        EXPECT_EQ(LatencyBuckets::index_of(bound + 1ns), i + 1) << bound.count();
    }
}

TEST(LatencyBuckets, CoverEveryDurationThatThereIs) {
    EXPECT_EQ(LatencyBuckets::index_of(nanoseconds::min()), 0U);
    EXPECT_EQ(LatencyBuckets::index_of(0ns), 0U);
    EXPECT_EQ(LatencyBuckets::index_of(1us), 0U);
    EXPECT_EQ(LatencyBuckets::index_of(nanoseconds::max()), LatencyBuckets::kCount - 1);
    EXPECT_EQ(LatencyBuckets::upper_bound(LatencyBuckets::kCount - 2), 10'000s);
}

TEST(LatencyBuckets, AreAtMostATenthWide) {
    for (std::size_t i = 1; i + 1 < LatencyBuckets::kCount; ++i) {
        const nanoseconds lower = LatencyBuckets::upper_bound(i - 1), upper = LatencyBuckets::upper_bound(i);
        EXPECT_LE((upper - lower).count() * 10, lower.count());
    }
}

TEST(LatencyHistogram, QuantilesAreWithinFivePercentOfTheSortedTruth) {
    std::mt19937_64 random(7);
    std::lognormal_distribution<double> latency(std::log(2e6), 1.5);  // around 2 ms, with a long tail
    LatencyShard shard;
    std::vector<std::int64_t> truth;
    for (int i = 0; i < 100'000; ++i) {
        truth.push_back(std::max<std::int64_t>(static_cast<std::int64_t>(latency(random)), 2000));
        shard.record(Adder(true), nanoseconds(truth.back()));
    }
    std::ranges::sort(truth);
    const LatencyHistogram histogram = merged(shard);
    for (const double q : {0.001, 0.5, 0.9, 0.99, 0.999, 1.0}) {
        const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(truth.size())));
        const auto exact = static_cast<double>(truth[rank - 1]);
        EXPECT_NEAR(static_cast<double>(histogram.quantile(q).count()), exact, exact * 0.05) << q;
    }
}

TEST(LatencyHistogram, CountsUpToARoundBoundAreExact) {
    LatencyShard shard;
    for (const nanoseconds latency : {4'999'999ns, 5'000'000ns, 5'000'001ns, 250'000'000ns, 250'000'001ns}) {
        shard.record(Adder(true), latency);
    }
    const LatencyHistogram histogram = merged(shard);
    EXPECT_EQ(histogram.count_up_to(5ms), 2U);
    EXPECT_EQ(histogram.count_up_to(250ms), 4U);
    EXPECT_EQ(histogram.count_up_to(1s), 5U);
    EXPECT_EQ(histogram.sum(), 515'000'001ns);
}

TEST(LatencyHistogram, OfNothingIsZero) {
    EXPECT_EQ(LatencyHistogram().quantile(0.5), 0ns);
    EXPECT_EQ(LatencyHistogram().count_up_to(1h), 0U);
}

TEST(LatencyHistogram, AWindowHoldsOnlyWhatCameLater) {
    LatencyShard shard;
    for (int i = 0; i < 100; ++i) shard.record(Adder(true), 1ms);
    const LatencyHistogram before = merged(shard);
    shard.record(Adder(true), 50ms);
    const LatencyHistogram window = merged(shard).since(before);
    EXPECT_EQ(window.count(), 1U);
    EXPECT_EQ(window.sum(), 50ms);
    EXPECT_GT(window.quantile(0.5), 45ms);
    EXPECT_EQ(merged(shard).since(merged(shard)).quantile(0.99), 0ns);
}

TEST(LatencyHistogram, MergesTheShardsOfAllWorkers) {
    LatencyShard one, two;
    one.record(Adder(true), 1ms);
    two.record(Adder(false), 9ms);
    LatencyHistogram histogram = merged(one);
    histogram.merge(two);
    EXPECT_EQ(histogram.count(), 2U);
    EXPECT_LT(histogram.quantile(0.5), 2ms);
    EXPECT_GT(histogram.quantile(0.51), 8ms);
}

}  // namespace
}  // namespace sluice::telemetry
