#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "runtime/mutex.h"
#include "runtime/time.h"

namespace sluice::runtime {

// Once: something that is to happen one time, whoever comes first.
//
//     once.call([&] { table = load(); });
//     if (!once.call_until(now() + 1s, [&] { table = load(); })) return unavailable;
class Once {
  public:
    // call() runs f, unless it has run. Returns when it has: those who come meanwhile wait. An f that throws
    // has not run; the exception leaves its call(), and the next one tries.
    template <class F>
    void call(F&& f) {
        if (done()) return;
        std::lock_guard lock(mutex_);
        run(std::forward<F>(f));
    }

    // call_until() is call() that waits for another's f until `deadline` at most, or the task's, or until the
    // task is cancelled: false, and no f has run to its end so far. Its own f it runs as call() does.
    template <class F>
    bool call_until(Time deadline, F&& f) {
        if (done()) return true;
        std::unique_lock lock(mutex_, deadline);
        if (!lock.owns_lock()) return done();
        run(std::forward<F>(f));
        return true;
    }

  private:
    bool done() const { return done_.load(std::memory_order_acquire); }  // pairs with the store in run()

    // With mutex_ held.
    template <class F>
    void run(F&& f) {
        if (done_.load(std::memory_order_relaxed)) return;
        std::forward<F>(f)();
        done_.store(true, std::memory_order_release);
    }

    std::atomic<bool> done_{false};
    Mutex mutex_;
};

}  // namespace sluice::runtime
