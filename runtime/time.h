#pragma once

#include <chrono>

#include <time.h>

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
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);  // as steady_clock::now() does, behind a call more
    return Time(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
}

}  // namespace sluice::runtime
