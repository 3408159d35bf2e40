#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/scheduler.h"

namespace sluice::telemetry {

/// One monotonic count. Read by anyone at any time; written through an Adder only.
class Cell {
  public:
    std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    friend class Adder;
    std::atomic<std::uint64_t> value_{0};
};

/// How the holder of a shard adds to its cells. A worker is alone on its shard, so a plain load and store
/// do (1 ns; a locked add costs 5, and a request adds to nine cells); threads that are no workers share one
/// shard and add atomically.
class Adder {
  public:
    explicit Adder(bool alone) noexcept : alone_(alone) {}

    /// False: other threads may be writing to the same shard now.
    bool alone() const noexcept { return alone_; }

    void operator()(Cell& cell, std::uint64_t n = 1) const noexcept {
        if (alone_) {
            cell.value_.store(cell.value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
        } else {
            cell.value_.fetch_add(n, std::memory_order_relaxed);
        }
    }

  private:
    bool alone_;
};

/// One Shard for each worker of one scheduler, and one more that all other threads share. Each has cache
/// lines of its own, so no count on the way of a request is contended; readers sum over all of them.
///
/// A Shard is an aggregate of Cells. Writers and readers need no lock; what a reader sees of two cells need
/// not be of one instant. Serves the tasks of one scheduler: worker 0 of a second one would be taken for the
/// first's.
template <class Shard>
class PerWorker {
  public:
    /// `workers`: Scheduler::workers() of the scheduler whose tasks will write.
    explicit PerWorker(unsigned workers) : workers_(workers), shards_(new Aligned[workers + 1]) {}

    /// The same, each shard being what make() returns.
    template <class Make>
    PerWorker(unsigned workers, Make make) : PerWorker(workers) {
        for (unsigned i = 0; i <= workers_; ++i) shards_[i].shard = make();
    }

    /// Calls update(shard, add) with the caller's shard. `update` must not park: the index of the worker is
    /// read here, and holds only until the next park.
    template <class Update>
    void update(Update&& update) {
        const unsigned index = runtime::worker_index();
        const bool alone = index < workers_;
        update(shards_[alone ? index : workers_].shard, Adder(alone));
    }

    /// Calls visit(shard) for each shard.
    template <class Visit>
    void each(Visit&& visit) const {
        for (unsigned i = 0; i <= workers_; ++i) visit(shards_[i].shard);
    }

    /// The sum of one cell over all shards, as in sum(&Shard::accepted).
    std::uint64_t sum(Cell Shard::* cell) const {
        std::uint64_t total = 0;
        each([&](const Shard& shard) { total += (shard.*cell).get(); });
        return total;
    }

  private:
    // Two lines: the prefetcher of x86 fetches lines in pairs.
    struct alignas(128) Aligned {
        Shard shard;
    };

    const unsigned workers_;
    const std::unique_ptr<Aligned[]> shards_;
};

}  // namespace sluice::telemetry
