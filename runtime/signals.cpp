#include "runtime/signals.h"

#include <cerrno>
#include <chrono>
#include <mutex>
#include <system_error>

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/netpoller.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

namespace {

// Between two attempts to wait without memory for it.
constexpr Duration kScarcityPause = std::chrono::milliseconds(20);

}  // namespace

SignalSet::SignalSet(std::initializer_list<int> signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals) sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    descriptor_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "signalfd");
}

SignalSet::~SignalSet() {
    ::close(descriptor_);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

// Null: the wait is over. What comes while there is no memory to hear of it is kept by the kernel.
PollSlot* SignalSet::open() {
    for (;;) {
        PollSlot* const slot = PollSlot::open(descriptor_);
        {
            std::lock_guard lock(lock_);
            slot_ = slot;
            if (cancelled_ && slot != nullptr) slot->cancel(slot->generation());
            if (cancelled_ || slot != nullptr) return slot;
        }
        this_task::sleep_for(kScarcityPause);
        if (this_task::cancelled() || this_task::deadline() <= now()) return nullptr;
    }
}

int SignalSet::wait() {
    // Registered for this wait only: signals are rare, and the set may outlive the scheduler.
    PollSlot* const slot = open();
    if (slot == nullptr) return 0;
    int signal = 0;
    while (signal == 0 && slot->wait(Half::read, kNever, WaitReason::signal) == Outcome::woken) {
        slot->clear(Half::read);
        signalfd_siginfo info{};
        if (::read(descriptor_, &info, sizeof info) == sizeof info) signal = static_cast<int>(info.ssi_signo);
    }
    {
        std::lock_guard lock(lock_);
        slot_ = nullptr;
    }
    slot->detach();
    return signal;
}

void SignalSet::cancel() {
    std::lock_guard lock(lock_);
    cancelled_ = true;
    if (slot_ != nullptr) slot_->cancel(slot_->generation());
}

}  // namespace sluice::runtime
