#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "service/telemetry/cell.h"

namespace sluice::telemetry {

/// The buckets that every latency is sorted into: ninety to a decade, (1.0, 1.1], (1.1, 1.2] … (9.9, 10]
/// times a power of ten, from 1 µs to 10,000 s, one below and one above. A bucket is at most 10 % wide. They
/// are decimal, not binary, so that Prometheus's round bounds (0.005, 0.25, …) are bounds of ours and its
/// cumulative counts are exact; they are closed above because its `le` is.
struct LatencyBuckets {
    static constexpr std::size_t kPerDecade = 90;
    static constexpr std::size_t kDecades = 10;
    static constexpr std::size_t kCount = kPerDecade * kDecades + 2;

    /// The bucket that holds `latency`; a negative one counts as zero.
    static std::size_t index_of(std::chrono::nanoseconds latency) noexcept;

    /// The greatest latency that `index` holds; nanoseconds::max() for the last bucket.
    static std::chrono::nanoseconds upper_bound(std::size_t index) noexcept;
};

/// The counts of one worker, as part of a Shard (see PerWorker). 7 KiB.
struct LatencyShard {
    std::array<Cell, LatencyBuckets::kCount> buckets;
    Cell sum_ns;

    void record(Adder add, std::chrono::nanoseconds latency) noexcept;
};

/// A merged view of LatencyShards: a value.
class LatencyHistogram {
  public:
    /// Adds the counts of `shard`.
    void merge(const LatencyShard& shard) noexcept;
    void merge(const LatencyHistogram& other) noexcept;

    /// What was recorded after `earlier` was merged: a window. REQUIRES: both are of the same shards.
    LatencyHistogram since(const LatencyHistogram& earlier) const noexcept;

    std::uint64_t count() const noexcept { return count_; }
    std::chrono::nanoseconds sum() const noexcept { return std::chrono::nanoseconds(sum_ns_); }

    /// The latency that a share `q` (0..1) of all stay at or below, to within 5 % (the middle of its bucket).
    /// Zero when nothing was recorded.
    std::chrono::nanoseconds quantile(double q) const noexcept;

    /// How many were at or below `bound`, exactly, if `bound` is a bound of the buckets.
    std::uint64_t count_up_to(std::chrono::nanoseconds bound) const noexcept;

  private:
    std::array<std::uint64_t, LatencyBuckets::kCount> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t sum_ns_ = 0;
};

}  // namespace sluice::telemetry
