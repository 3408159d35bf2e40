#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "runtime/alarm.h"
#include "runtime/on_tasks.h"
#include "runtime/poll_slot.h"
#include "runtime/spin_lock.h"
#include "runtime/timer_queue.h"

// The netpoller tells when descriptors are ready. One epoll for each worker; each descriptor is in exactly
// one of them, registered once for everything, edge-triggered (but for listeners), and has a PollSlot: what
// was reported, who waits for it, and until when. poll() returns who is to run and calls nobody.
//
// How a stream reads, without a system call that could be spared and without losing an edge:
//
//   1. If the last read came up short, nothing is there until an event comes: slot.wait(Half::read, until).
//   2. slot.clear(Half::read), *before* the system call: an event for what arrives after it then stays.
//   3. recv(). EAGAIN, or fewer bytes than asked for: drained, so the next read begins at 1, else at 2.
//
// An event may be reported for bytes that an earlier recv() took already: a wait that ends as `woken` is a
// reason to try, not a promise.
namespace sluice::runtime {

class Netpoller;

// What a slot's protocol needs of the runtime; see BasicPollSlot.
struct OnNetpoller : OnTasks {
    using Poller = Netpoller;
};

// PollSlot: one registered descriptor. What is asked of it is in poll_slot.h.
class PollSlot : public BasicPollSlot<OnNetpoller> {
  public:
    // open() registers a descriptor (non-blocking) with the calling worker's netpoller, or with that of the
    // worker given (modulo the number of workers). Nullptr, with errno, when the kernel refuses. REQUIRES:
    // called in a task.
    static PollSlot* open(int descriptor);
    static PollSlot* open(int descriptor, unsigned worker);

    // open_repeating() registers a descriptor, such as a listener, whose owner takes a part at a time: every
    // poll reports it again while something is left. After a report that finds the one before not taken up
    // (by clear()) only changes are reported, until heeded() is called; otherwise every poll would return at
    // once while the owner cannot run.
    static PollSlot* open_repeating(int descriptor);
    void heeded() {
        if (trigger() == Trigger::silenced) [[unlikely]]
            set_trigger(Trigger::silenced, Trigger::repeats);
    }

    void close();

    // detach() is close() for a descriptor that lives on, at the price of a system call: it may be registered
    // again.
    void detach();

  private:
    friend class Netpoller;

    bool unheeded() const { return trigger() == Trigger::repeats && ready(Half::read); }
    void set_trigger(Trigger from, Trigger to);

    PollSlot* next_free_ = nullptr;  // guarded by the Netpoller's lock
};
static_assert(sizeof(PollSlot) <= 128, "an idle connection is made of these");

extern template class BasicPollSlot<OnNetpoller>;

// Netpoller: one epoll and its slots. Made and destroyed with its worker; poll() may be called by any thread,
// two at a time too (each edge goes to one of them).
class Netpoller {
  public:
    Netpoller(Scheduler& scheduler, TimerQueue& timers);
    ~Netpoller();
    Netpoller(const Netpoller&) = delete;
    Netpoller& operator=(const Netpoller&) = delete;

    PollSlot* open(int descriptor, bool repeating = false);

    // poll() adds what became ready to `woken`, without waiting.
    // wait() does so too, and with nothing ready it waits until `until` (kNever: for ever), or for less.
    // Owner only. Both return true when interrupt() was called or the alarm rang. Who is not the owner must
    // pass it on, by TimerQueue::wake_sleeper(): the owner may be about to sleep.
    bool poll(Woken& woken) { return take(Duration::zero(), woken); }
    bool wait(Time until, Woken& woken);
    // wakes_by() tells whether wait() ends at `time` or before, whatever it is told: then there is no need to
    // look whether that has come already. Owner only.
    bool wakes_by(Time time) const { return alarm_.rings_by(time); }

    // interrupt() makes a wait(), or else the next poll() or wait(), return at once. Any thread; one system
    // call.
    void interrupt();

    // The epoll itself; readable when poll() would find something.
    int descriptor() const { return epoll_; }

    // awaited() is whether a task waits for one of the descriptors, or a Dormant dozes with one. Any thread.
    bool awaited();

    // Descriptors registered at present.
    std::size_t open_slots() const { return open_slots_.load(std::memory_order_relaxed); }

  private:
    friend class PollSlot;
    friend class BasicPollSlot<OnNetpoller>;
    static constexpr int kEvents = 128;
    static constexpr std::size_t kSlab = 64;

    PollSlot* take_slot();
    bool take(Duration patience, Woken& woken);
    // For its slots.
    void free_slot(BasicPollSlot<OnNetpoller>& slot);
    void deliver(Woken& woken);
    TimerQueue& timers() { return timers_; }

    // Fixed.
    Scheduler& scheduler_;
    TimerQueue& timers_;
    Alarm alarm_;
    int epoll_ = -1;
    int interrupt_ = -1;

    std::atomic<std::size_t> open_slots_{0};
    SpinLock lock_;
    PollSlot* free_ = nullptr;                        // guarded by lock_
    std::vector<std::unique_ptr<PollSlot[]>> slabs_;  // guarded by lock_
};

}  // namespace sluice::runtime
