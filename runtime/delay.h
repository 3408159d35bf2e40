#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/count.h"
#include "runtime/time.h"

namespace sluice::runtime {

// How long tasks wait for a worker, from the wake that made them runnable to their first instruction after
// it. One wake of kDelaySampledEvery is measured, which costs nothing that could be: two readings of the
// clock. What yields is not woken and not counted. A socket or a timer counts from when its worker saw it.
inline constexpr int kDelaySampledEvery = 256;

// Up to and with each bound; what is longer than the last is counted apart.
inline constexpr auto kDelayBounds = std::to_array<Duration>(
    {std::chrono::microseconds(1), std::chrono::microseconds(2), std::chrono::microseconds(5),
     std::chrono::microseconds(10), std::chrono::microseconds(25), std::chrono::microseconds(50),
     std::chrono::microseconds(100), std::chrono::microseconds(250), std::chrono::microseconds(500),
     std::chrono::milliseconds(1), std::chrono::microseconds(2500), std::chrono::milliseconds(5),
     std::chrono::milliseconds(10), std::chrono::milliseconds(25), std::chrono::milliseconds(100),
     std::chrono::seconds(1)});

// The delays measured so far, as plain values.
struct Delays {
    std::array<std::uint64_t, kDelayBounds.size() + 1> counts{};  // by bound, the last: longer than all
    Duration sum{};

    std::uint64_t count() const {
        std::uint64_t all = 0;
        for (const std::uint64_t n : counts) all += n;
        return all;
    }

    // quantile() is the bound that a share `q` of the delays did not exceed; the longest bound when it lies
    // beyond, zero when there are none.
    Duration quantile(double q) const {
        const auto rank = q * static_cast<double>(count());
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < kDelayBounds.size(); ++i) {
            seen += counts[i];
            if (seen != 0 && static_cast<double>(seen) >= rank) return kDelayBounds[i];
        }
        return seen == 0 && counts.back() == 0 ? Duration::zero() : kDelayBounds.back();
    }
};

// DelayHistogram: a worker's. One writer, readable by anyone.
class DelayHistogram {
  public:
    void add(Duration delay) {
        const auto at = std::ranges::lower_bound(kDelayBounds, delay);
        counts_[static_cast<std::size_t>(at - kDelayBounds.begin())].add();
        sum_.add(static_cast<std::uint64_t>(std::max(delay, Duration::zero()).count()));
    }

    void add_to(Delays& total) const {
        for (std::size_t i = 0; i < counts_.size(); ++i) total.counts[i] += counts_[i].get();
        total.sum += Duration(static_cast<std::int64_t>(sum_.get()));
    }

  private:
    std::array<Count, kDelayBounds.size() + 1> counts_;
    Count sum_;  // nanoseconds
};

}  // namespace sluice::runtime
