#pragma once

// What is thought of one server: by its health checks, which say healthy or not, and by the requests that it
// has served, which eject it for a time after too many failures in a row.
//
// Read for every request of an upstream with several servers, and seldom written: it has cache lines of its
// own. Any thread.

#include <atomic>
#include <cstdint>

#include "runtime/time.h"

namespace sluice::upstream {

class alignas(64) Standing {
  public:
    /// At the start a server is taken to be healthy.
    bool healthy() const { return healthy_.load(std::memory_order_relaxed); }
    void set_healthy(bool healthy) { healthy_.store(healthy, std::memory_order_relaxed); }

    bool ejected(runtime::Time now) const { return now < ejected_until(); }
    runtime::Time ejected_until() const {
        return runtime::Time(runtime::Duration(ejected_until_.load(std::memory_order_relaxed)));
    }
    void eject(runtime::Time until) {
        ejections_.fetch_add(1, std::memory_order_relaxed);
        ejected_until_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    }
    /// What was thought of the server that this one takes the place of.
    void take_over(const Standing& former) {
        set_healthy(former.healthy());
        ejected_until_.store(former.ejected_until_.load(std::memory_order_relaxed),
                             std::memory_order_relaxed);
    }
    std::uint64_t ejections() const { return ejections_.load(std::memory_order_relaxed); }

    bool in_service(runtime::Time now) const { return healthy() && !ejected(now); }

    /// A request was answered. Costs a load unless the one before was not.
    void succeeded() {
        if (failures_in_a_row_.load(std::memory_order_relaxed) != 0)
            failures_in_a_row_.store(0, std::memory_order_relaxed);
    }
    /// A request failed. Returns how many have in a row.
    std::uint32_t failed() { return failures_in_a_row_.fetch_add(1, std::memory_order_relaxed) + 1; }

  private:
    std::atomic<bool> healthy_{true};
    std::atomic<std::uint32_t> failures_in_a_row_{0};
    std::atomic<runtime::Duration::rep> ejected_until_{runtime::Time::min().time_since_epoch().count()};
    std::atomic<std::uint64_t> ejections_{0};
};

}  // namespace sluice::upstream
