#include "runtime/alarm.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <sys/timerfd.h>
#include <unistd.h>

namespace sluice::runtime {

Alarm::Alarm() : descriptor_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
}

Alarm::~Alarm() {
    ::close(descriptor_);
}

void Alarm::set(Time time) {
    set_.store(time, std::memory_order_relaxed);
    // All zero would unset it.
    const auto since_epoch = std::max(time.time_since_epoch(), Duration(1));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
    const itimerspec at{.it_interval = {}, .it_value = {seconds.count(), (since_epoch - seconds).count()}};
    ::timerfd_settime(descriptor_, TFD_TIMER_ABSTIME, &at, nullptr);
}

}  // namespace sluice::runtime
