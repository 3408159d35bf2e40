#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/spin_lock.h"
#include "runtime/task.h"
#include "runtime/timer_queue.h"

// The netpoller tells when descriptors are ready. One edge-triggered epoll for each worker; each descriptor
// is in exactly one of them, registered once for everything, and has a PollSlot: what was reported, who waits
// for it, and until when. poll() returns who is to run and calls nobody.
//
// How a stream reads, without a system call that could be spared and without losing an edge:
//
//   1. If the last read came up short, nothing is there until an event comes: slot.wait(Half::read,
//   deadline).
//   2. slot.clear(Half::read), *before* the system call: an event for what arrives after it then stays.
//   3. recv(). EAGAIN, or fewer bytes than asked for: drained, so the next read begins at 1, else at 2.
//
// An event may be reported for bytes that an earlier recv() took already: a wait that ends as `woken` is a
// reason to try, not a promise.
namespace sluice::runtime {

class Netpoller;

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

// PollSlot: one registered descriptor. From memory that is never unmapped while its Netpoller lives, so that
// a late event or cancel finds a live object: the generation, also in epoll's tag, tells that it has become
// another's.
//
// wait(), clear(), doze(), close() are the owner's: one task for each half at a time. The others: any thread.
// Inside, a spin lock of a few instructions; a wait, a wake and a doze each take it once. It is never held
// while another lock is taken; the wheel's lock may be held when it is taken.
class alignas(64) PollSlot {
  public:
    // open() registers a descriptor (non-blocking) with the calling worker's netpoller, or with that of the
    // worker given (modulo the number of workers). Nullptr, with errno, when the kernel refuses. REQUIRES:
    // called in a task.
    static PollSlot* open(int descriptor);
    static PollSlot* open(int descriptor, unsigned worker);

    // close() frees the slot: whoever still waits ends as `cancelled`. Before close(2) of the descriptor,
    // which takes it out of epoll.
    void close();
    // detach() is close() for a descriptor that lives on, at the price of a system call: it may be registered
    // again.
    void detach();

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
    // rouse() wakes what dozes, as `roused`; nothing happens when nothing does.
    void rouse(std::uint32_t generation);
    // cancel() ends the waits of both halves, and all later ones, as `cancelled`; what dozes is roused.
    void cancel(std::uint32_t generation);

    // cancelled() tells whether cancel() was called in this use of the slot.
    bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

    // hung_up() tells whether nothing can be sent any more: a reset, an error, both directions ended, or
    // cancel(). The peer's end of sending alone is no hang-up.
    bool hung_up() const { return half_of(Half::write).ended.load(std::memory_order_acquire) || cancelled(); }

    int descriptor() const { return descriptor_; }

  private:
    friend class Netpoller;

    struct Side {
        std::atomic<bool> ready{false};
        std::atomic<bool> ended{
            false};  // ready for good: EPOLLHUP, ERR; for reading RDHUP too. Reset by open()
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
    void report(std::uint32_t events, std::uint32_t tag_generation, Woken& woken);
    void expire(Time now, Woken& woken);
    void wake_side(Side& side, Outcome how, Woken& woken);
    void wake_dormant(Wake why, Woken& woken);
    Time first_deadline() const;
    void arm_timer();

    // Fixed after the first open.
    Netpoller* poller_ = nullptr;

    SpinLock lock_;
    std::atomic<bool> cancelled_{false};  // guarded by lock_, as all below; the atomics are read without
    int descriptor_ = -1;
    std::atomic<std::uint32_t> generation_{0};
    Side sides_[2];
    Dormant* dormant_ = nullptr;     // instead of a waiter on the read half, whose deadline it uses
    Timer timer_{&PollSlot::fire};   // guarded by the TimerQueue's lock
    PollSlot* next_free_ = nullptr;  // guarded by the Netpoller's lock
};
static_assert(sizeof(PollSlot) <= 128, "an idle connection is made of these");

// Netpoller: one epoll and its slots. Made and destroyed with its worker; poll() may be called by any thread,
// two at a time too (each event goes to one of them).
class Netpoller {
  public:
    Netpoller(Scheduler& scheduler, TimerQueue& timers);
    ~Netpoller();
    Netpoller(const Netpoller&) = delete;
    Netpoller& operator=(const Netpoller&) = delete;

    PollSlot* open(int descriptor);

    // poll() adds what became ready to `woken`; with nothing ready it waits for at most `patience` (zero: not
    // at all; Duration::max(): for ever). Returns early when woken by interrupt(); true: that was so. Who is
    // not the owner must pass it on, by another interrupt(): the owner may be about to sleep.
    bool poll(Duration patience, Woken& woken);

    // interrupt() makes a poll() that waits, or else the next one, return at once. Any thread; one system
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
    static constexpr int kEvents = 128;
    static constexpr std::size_t kSlab = 64;

    PollSlot* take_slot();
    void free_slot(PollSlot& slot);

    // Fixed.
    Scheduler& scheduler_;
    TimerQueue& timers_;
    int epoll_ = -1;
    int interrupt_ = -1;

    std::atomic<std::size_t> open_slots_{0};
    SpinLock lock_;
    PollSlot* free_ = nullptr;                        // guarded by lock_
    std::vector<std::unique_ptr<PollSlot[]>> slabs_;  // guarded by lock_
};

}  // namespace sluice::runtime
