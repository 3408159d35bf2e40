#pragma once

// What is thought of one server: by its health checks, which say healthy or not, and by the requests that it
// has served, which eject it for a time after too many failures in a row. That time is the upstream's: a
// reload that shortens it, or ejects nobody any more, does so for those that are out already, too.
//
// Read for every request of an upstream with several servers, and seldom written: it has cache lines of its
// own. Any thread.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "runtime/time.h"

namespace sluice::upstream {

class alignas(64) Standing {
  public:
    /// At the start a server is taken to be healthy.
    bool healthy() const { return healthy_.load(std::memory_order_relaxed); }
    void set_healthy(bool healthy) { healthy_.store(healthy, std::memory_order_relaxed); }

    /// `most`: as long as an ejection lasts by the settings that are asked for. One that was meant to be
    /// shorter is over when it is over.
    bool ejected(runtime::Time now, runtime::Duration most) const {
        return now < time(ejected_until_) && now < time(ejected_at_) + most;
    }
    runtime::Time ejected_until(runtime::Duration most) const {
        return std::min<runtime::Time>(time(ejected_until_), time(ejected_at_) + most);
    }
    void eject(runtime::Time now, runtime::Duration duration) {
        ejections_.fetch_add(1, std::memory_order_relaxed);
        set(ejected_at_, now);
        set(ejected_until_, now + duration);
    }
    /// What was thought of the server that this one takes the place of.
    void take_over(const Standing& former) {
        set_healthy(former.healthy());
        set(ejected_at_, time(former.ejected_at_));
        set(ejected_until_, time(former.ejected_until_));
    }
    std::uint64_t ejections() const { return ejections_.load(std::memory_order_relaxed); }

    /// A request was answered. Costs a load unless the one before was not.
    void succeeded() {
        if (failures_in_a_row_.load(std::memory_order_relaxed) != 0)
            failures_in_a_row_.store(0, std::memory_order_relaxed);
    }
    /// A request failed. Returns how many have in a row.
    std::uint32_t failed() { return failures_in_a_row_.fetch_add(1, std::memory_order_relaxed) + 1; }

  private:
    using Atomic = std::atomic<runtime::Duration::rep>;  // of a Time
    static runtime::Time time(const Atomic& at) {
        return runtime::Time(runtime::Duration(at.load(std::memory_order_relaxed)));
    }
    static void set(Atomic& at, runtime::Time time) {
        at.store(time.time_since_epoch().count(), std::memory_order_relaxed);
    }

    std::atomic<bool> healthy_{true};
    std::atomic<std::uint32_t> failures_in_a_row_{0};
    Atomic ejected_at_{0};
    Atomic ejected_until_{runtime::Time::min().time_since_epoch().count()};
    std::atomic<std::uint64_t> ejections_{0};
};

}  // namespace sluice::upstream
