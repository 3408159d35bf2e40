#pragma once

#include <atomic>

#include "runtime/time.h"

namespace sluice::runtime {

// Alarm: a descriptor that is readable from a set time on; its owner's sleeps end by it. A timeout of
// epoll_wait() is a timer that the kernel starts and stops for each sleep, a twentieth of what falling asleep
// and waking up costs. An alarm serves every sleep that begins before it rings and is to end no earlier.
// What it was set for is often gone by then; the price is one needless wake-up.
class Alarm {
  public:
    Alarm();
    ~Alarm();
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;

    int descriptor() const { return descriptor_; }

    // set() has it ring at `time`, and no more when it was set for. Owner only.
    void set(Time time);
    // rings_by() tells whether it rings at `time` or before. Owner only.
    bool rings_by(Time time) const { return set_.load(std::memory_order_relaxed) <= time; }
    // rang() notes that it has rung. Any thread; who is not the owner has to wake it afterwards if it sleeps,
    // since it may rely on the alarm.
    void rang() { set_.store(kNever, std::memory_order_relaxed); }

  private:
    const int descriptor_;
    std::atomic<Time> set_{kNever};
};

}  // namespace sluice::runtime
