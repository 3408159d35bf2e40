#pragma once

#include <chrono>
#include <cstdint>
#include <utility>

#include "runtime/time.h"

namespace sluice::runtime {

// Loot: what a worker stole last, and whether that was worth it. What a thief and its victim both touch goes
// to and fro between two caches: the ring, the memory of the tasks, what they count. Of tasks that take less
// than kBrief, a thief carries off more than it helps with.
//
// One worker's. Times and counts of tasks come from its caller.
class Loot {
  public:
    static constexpr Duration kBrief = std::chrono::nanoseconds(500);

    // took() notes a theft, by a worker that has run so many tasks.
    void took(Time now, std::uint64_t ran) {
        at_ = now;
        ran_then_ = ran;
    }

    // was_brief() is whether the tasks run since the last theft took less than kBrief each. Judged once:
    // false until there is another.
    bool was_brief(Time now, std::uint64_t ran) {
        const Time took = std::exchange(at_, Time{});
        return took != Time{} && now - took < static_cast<Duration::rep>(ran - ran_then_) * kBrief;
    }

  private:
    Time at_{};  // none, or none that is to be judged: zero
    std::uint64_t ran_then_ = 0;
};

}  // namespace sluice::runtime
