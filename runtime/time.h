#pragma once

#include <chrono>

namespace sluice::runtime {

using Duration = std::chrono::nanoseconds;
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// A deadline that never comes.
inline constexpr Time kNever = Time::max();

// now() in a task: the clock of its scheduler, which in virtual time stands still while any task can run;
// else, and on every other thread, the steady clock, freshly read (about 20 ns).
Time now();
// now() + duration; kNever where that is beyond what a Time can hold.
inline Time from_now(Duration duration) {
    const Time start = now();
    return duration < kNever - start ? start + duration : kNever;
}
// The steady clock, wherever it is asked.
inline Time steady_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

}  // namespace sluice::runtime
