#pragma once

#include <atomic>
#include <cstdint>

#include "runtime/task.h"
#include "runtime/timer_wheel.h"

// PollSlot's protocol: for each half of a descriptor a slot that is empty, ready, waited for by a task until
// its deadline, or, for reading, by a Dormant. netpoller.h has the descriptors, and how a stream uses this.
namespace sluice::runtime {

enum class Half : std::uint8_t { read, write };

// Why a Dormant was woken.
enum class Wake : std::uint8_t { readable, deadline, roused };

// Dormant: what an idle connection leaves with the netpoller instead of a task; a base or member of its
// owner's object. wake() is called once, in a new task.
struct Dormant {
    explicit Dormant(void (*w)(Dormant&, Wake) = nullptr) : wake(w) {}

    void (*wake)(Dormant&, Wake);

    // The netpoller's.
    Dormant* next = nullptr;
    Wake why = Wake::readable;
};

// Woken: what poll() and the timers found to run: tasks that are runnable from now on, and Dormants, each to
// be started in a new task. Belongs to one worker's stack.
struct Woken {
    TaskList tasks;
    Dormant* dormants = nullptr;
    Dormant** dormants_end = &dormants;

    Woken() = default;
    Woken(const Woken&) = delete;
    Woken& operator=(const Woken&) = delete;

    void add(Dormant& dormant, Wake why) {
        dormant.why = why;
        dormant.next = nullptr;
        *dormants_end = &dormant;
        dormants_end = &dormant.next;
    }
    bool empty() const { return tasks.empty() && dormants == nullptr; }
};

// BasicPollSlot: from memory that is never unmapped while its poller lives, so that a late event or cancel
// finds a live object: the generation, also in epoll's tag, tells that it has become another's.
//
// wait(), clear(), doze(), close() are the owner's: one task for each half at a time. The others: any thread.
// Inside, a spin lock of a few instructions; a wait, a wake and a doze each take it once. It is never held
// while another lock is taken; the wheel's lock may be held when it is taken.
//
// Host: OnTasks, and a Poller with timers(), deliver(Woken&) and free_slot(); or, in tests/interleave, those
// of a model checker.
template <class Host>
class alignas(64) BasicPollSlot {
  public:
    // close() frees the slot: whoever still waits ends as `cancelled`. Before close(2) of the descriptor,
    // which takes it out of epoll.
    void close();

    // ready() tells whether an event was reported that no clear() has taken back. A hint: one may be on its
    // way.
    // Once the end or an error was reported (EPOLLRDHUP, HUP, ERR) the half stays ready: no further edge
    // follows, so a reader that found bytes first must not wait for one.
    bool ready(Half half) const { return half_of(half).reported(); }
    void clear(Half half) { half_of(half).ready.store(false, std::memory_order_relaxed); }

    // wait() parks until the half is ready (at once if it is): `woken`; or the deadline passes: `timed_out`;
    // or cancel(), close() or cancellation of the task: `cancelled`. A deadline later than one armed before
    // only stores a time.
    Outcome wait(Half half, Time deadline, WaitReason reason);

    // doze() leaves `dormant` to be woken when the read half becomes ready, when the deadline passes (not
    // before it, up to 66 µs after), or by rouse(). False, and nothing is armed, when it is ready now or
    // cancelled. From a true return on the slot belongs to whoever is woken, who may be running already.
    bool doze(Dormant& dormant, Time deadline);

    // generation() tells this use of the slot from the next; for the calls below, which do nothing when it is
    // over.
    std::uint32_t generation() const { return generation_.load(std::memory_order_relaxed); }
    // rouse() wakes what dozes, as `roused`; false, and nothing happens, when nothing does.
    bool rouse(std::uint32_t generation);
    // cancel() ends the waits of both halves, and all later ones, as `cancelled`; what dozes is roused.
    void cancel(std::uint32_t generation);

    // cancelled() tells whether cancel() was called in this use of the slot.
    bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

    // hung_up() tells whether nothing can be sent any more: a reset, an error, both directions ended, or
    // cancel(). The peer's end of sending alone is no hang-up.
    bool hung_up() const { return half_of(Half::write).ended.load(std::memory_order_acquire) || cancelled(); }

    int descriptor() const { return descriptor_; }

  protected:
    using Poller = typename Host::Poller;
    template <class T>
    using Atomic = typename Host::Atomics::template Atomic<T>;

    Poller& poller() const { return *poller_; }

    // The poller's.
    void set_poller(Poller& poller) { poller_ = &poller; }  // before the first use
    // begin() starts a use of the slot, and returns its generation.
    std::uint32_t begin(int descriptor);
    // report() takes in what epoll says, under a tag with the generation's lower 16 bits.
    void report(std::uint32_t events, std::uint32_t tag_generation, Woken& woken);
    // awaited() is whether a task waits, or a Dormant dozes.
    bool awaited();

    // When the poller reports: with each change; with each poll; or the latter, and at present not.
    enum class Trigger : std::uint8_t { edge, repeats, silenced };
    Trigger trigger() const { return trigger_.load(std::memory_order_relaxed); }
    void trigger(Trigger trigger) { trigger_.store(trigger, std::memory_order_relaxed); }

  private:
    struct Side {
        Atomic<bool> ready{false};
        Atomic<bool> ended{false};  // ready for good: EPOLLHUP, ERR; for reading RDHUP too. Reset by begin()
        bool reported() const {
            return ready.load(std::memory_order_acquire) || ended.load(std::memory_order_acquire);
        }
        Waiter* waiter = nullptr;  // with its deadline; guarded by lock_
        Time deadline = kNever;
    };

    Side& half_of(Half half) { return sides_[static_cast<unsigned>(half)]; }
    const Side& half_of(Half half) const { return sides_[static_cast<unsigned>(half)]; }

    struct Call;

    static void fire(Timer& timer, Time now, Woken& woken);
    static bool commit_wait(void* arg, Task* task);
    void expire(Time now, Woken& woken);
    void wake_side(Side& side, Outcome how, Woken& woken);
    void wake_dormant(Wake why, Woken& woken);
    Time first_deadline() const;
    void arm_timer();

    Poller* poller_ = nullptr;

    typename Host::Lock lock_;
    Atomic<bool> cancelled_{false};  // guarded by lock_, as all below; the atomics are read without
    int descriptor_ = -1;
    Atomic<std::uint32_t> generation_{0};
    std::atomic<Trigger> trigger_{Trigger::edge};  // the poller's, here for want of room elsewhere
    Side sides_[2];
    Dormant* dormant_ = nullptr;         // instead of a waiter on the read half, whose deadline it uses
    Timer timer_{&BasicPollSlot::fire};  // guarded by the TimerQueue's lock
};

}  // namespace sluice::runtime
