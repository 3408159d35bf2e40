#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "runtime/mutex.h"

namespace sluice::runtime {

// Once: something that is to happen one time, whoever comes first.
//
//     once.call([&] { table = load(); });
class Once {
  public:
    // call() runs f, unless it has run. Returns when it has: those who come meanwhile wait. An f that throws
    // has not run; the exception leaves its call(), and the next one tries.
    template <class F>
    void call(F&& f) {
        if (done_.load(std::memory_order_acquire)) return;  // pairs with the store below
        std::lock_guard lock(mutex_);
        if (done_.load(std::memory_order_relaxed)) return;
        std::forward<F>(f)();
        done_.store(true, std::memory_order_release);
    }

  private:
    std::atomic<bool> done_{false};
    Mutex mutex_;
};

}  // namespace sluice::runtime
