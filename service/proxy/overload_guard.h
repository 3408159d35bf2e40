#pragma once

// Sheds load before the kernel ends the process for want of memory: near the container's limit, new
// connections and new requests are told 503 with Retry-After, which costs next to nothing; what is under way
// goes on, and by its end gives memory back.

#include <atomic>
#include <cstdint>
#include <optional>

#include "runtime/semaphore.h"
#include "runtime/time.h"
#include "service/proxy/cgroup_memory.h"
#include "service/telemetry/log.h"

namespace sluice::proxy {

class OverloadGuard {
  public:
    /// Shares of the limit: from the first on load is shed, until less than the second is used.
    static constexpr double kShed = 0.90;
    static constexpr double kResume = 0.85;
    /// From here on it is looked at ten times a second, else twice.
    static constexpr double kNear = 0.50;

    /// `overloaded` is what the requests look at. `source` outlives it.
    OverloadGuard(std::atomic<bool>& overloaded, telemetry::Log& log, const CgroupMemory& source)
        : overloaded_(overloaded), log_(log), source_(source) {}

    /// The body of the background task: looks until stop(). Parks.
    void run();
    void stop() { stop_.release(); }

    /// Takes note of what is used. The task's; apart from it for tests.
    void observe(const std::optional<MemoryUse>& use);

    struct Figures {
        bool overloaded = false;
        std::uint64_t times = 0;  // that it became so
        MemoryUse use;            // limit 0: there is none
    };
    /// Any thread.
    Figures figures() const;

  private:
    runtime::Duration pause() const;

    // Fixed.
    std::atomic<bool>& overloaded_;
    telemetry::Log& log_;
    const CgroupMemory& source_;

    runtime::Semaphore stop_{0};

    // Written by the task, read by anyone.
    std::atomic<std::uint64_t> times_{0};
    std::atomic<std::uint64_t> used_{0};
    std::atomic<std::uint64_t> limit_{0};
};

}  // namespace sluice::proxy
