#pragma once

// What became of reloads, for those who look on. Any thread; does not park.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "runtime/time.h"
#include "service/admin/sources.h"

namespace sluice {

class ReloadRecord {
  public:
    using Wall = std::chrono::system_clock;

    /// `started`: the wall clock, when the configuration of the start came into force.
    explicit ReloadRecord(Wall::time_point started) : in_force_since_(started) {}

    /// A reload has ended, in that order.
    void note(bool in_force, runtime::Time now, Wall::time_point wall) {
        const std::scoped_lock hold(mutex_);
        ++reloads_;
        last_ok_ = in_force;
        last_ = now;
        if (!in_force) {
            ++failed_;
            return;
        }
        last_success_ = now;
        in_force_since_ = wall;
    }

    admin::ReloadFigures figures(runtime::Time now) const {
        const std::scoped_lock hold(mutex_);
        const auto ago = [now](runtime::Time then) { return now - then; };
        return {.reloads = reloads_,
                .failed = failed_,
                .last_ok = last_ok_,
                .last_ago = last_.transform(ago),
                .last_success_ago = last_success_.transform(ago),
                .in_force_since = in_force_since_};
    }

  private:
    mutable std::mutex mutex_;
    std::uint64_t reloads_ = 0, failed_ = 0;
    std::optional<bool> last_ok_;
    std::optional<runtime::Time> last_, last_success_;
    Wall::time_point in_force_since_;
};

}  // namespace sluice
