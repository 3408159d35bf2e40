#pragma once

#include <csignal>
#include <initializer_list>

#include "runtime/spin_lock.h"

namespace sluice::runtime {

class PollSlot;

// SignalSet: signals of the process as something that a task waits for. The constructor blocks them in the
// calling thread, hence in every thread started later: make it first in main(), before the Scheduler. The
// destructor lets those through again that it had blocked.
//
//     SignalSet signals{SIGTERM, SIGHUP};
//     scheduler.run([&] { while (signals.wait() != SIGTERM) reload(); });
class SignalSet {
  public:
    SignalSet(std::initializer_list<int> signals);
    ~SignalSet();
    SignalSet(const SignalSet&) = delete;
    SignalSet& operator=(const SignalSet&) = delete;

    // wait() parks until one of the signals is pending, takes it and returns its number; 0 after cancel(),
    // and when the task is cancelled or its deadline passes. Memory that is short for it
    // is waited for, too. One task at a time.
    int wait();

    // cancel() makes the wait() under way, and all later ones, return 0. Any thread.
    void cancel();

  private:
    PollSlot* open();

    int descriptor_ = -1;
    sigset_t before_{};

    SpinLock lock_;
    PollSlot* slot_ = nullptr;  // of the wait() under way; guarded by lock_
    bool cancelled_ = false;    // guarded by lock_
};

}  // namespace sluice::runtime
