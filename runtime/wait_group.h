#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "runtime/time.h"
#include "runtime/wait_list.h"

namespace sluice::runtime {

// WaitGroup: waits for a number of things to be done.
//
//     WaitGroup group;
//     for (auto& item : items) {
//         group.add();
//         go([&] { work(item); group.done(); });
//     }
//     group.wait();
//
// add() and done() may be called from any thread. May be destroyed as soon as wait() has returned, while the
// last done() is still on its way out; and counted up again then.
class WaitGroup {
  public:
    WaitGroup() = default;
    WaitGroup(const WaitGroup&) = delete;
    WaitGroup& operator=(const WaitGroup&) = delete;

    // add() raises the count by `n`: before the work is started, not by the work itself.
    void add(std::uint32_t n = 1) { word_.fetch_add(n * kOne, std::memory_order_relaxed); }

    // done() lowers the count by one; at zero, all that wait go on. REQUIRES: the count is not zero.
    void done();

    // wait() parks until the count is zero, whatever happens.
    void wait() { wait_for(kNever, Cancellable::no); }
    // wait_until() gives up at the deadline, or when the task is cancelled: false.
    bool wait_until(Time deadline) { return wait_for(deadline, Cancellable::yes); }

  private:
    struct Wait;

    static constexpr std::uint64_t kQueue = 1;  // somebody edits waiters_
    static constexpr std::uint64_t kOne = 2;    // the count is the rest of the word

    bool wait_for(Time deadline, Cancellable cancellable);
    void lock_queue();

    std::atomic<std::uint64_t> word_{0};
    WaitList waiters_;  // guarded by kQueue
};

// Counted: one of a group's things for as long as it lives. Where a task closes over it, before all else, the
// group is done with the task when that has ended and what it closed over is gone, whatever ended it.
//
//     go([counted = Counted(group), item] { work(item); });
class Counted {
  public:
    explicit Counted(WaitGroup& group) : group_(&group) { group.add(); }
    Counted(Counted&& other) noexcept : group_(std::exchange(other.group_, nullptr)) {}
    Counted& operator=(Counted&&) = delete;
    ~Counted() {
        if (group_ != nullptr) group_->done();
    }

  private:
    WaitGroup* group_;
};

}  // namespace sluice::runtime
