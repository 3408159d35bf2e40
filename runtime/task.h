#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/atomics.h"
#include "runtime/context.h"
#include "runtime/time.h"
#include "runtime/wait_reason.h"

// A task is a flow of control with a stack of its own, run by the workers of one Scheduler. This header is
// what synchronisation is built on: parking, unparking, and the claim on a wait that may end in several ways.
//
// Parking, in steps. The commit runs *after* the stack has been left: whoever it tells of the task may resume
// it at once, on another thread, and would otherwise find the stack still in use.
//
//   1. The task writes its reason and, if it uses a Waiter, opens a wait: the wait word gets a new ticket.
//   2. It leaves its stack, straight to the next runnable task if there is one, else to the worker's loop.
//   3. On the stack arrived at, the worker calls commit(arg, task). It takes the primitive's lock, looks
//      again whether there is anything to wait for, and enqueues. False: nobody was told of the task, it
//      goes on at once.
//   4. True: from the moment the commit let go of the primitive's lock the task may be running again. Only
//      now are the timer armed and the wait opened to cancellation, each only if the wait word still carries
//      this ticket: Task blocks are never unmapped, so looking at the word of a task that has moved on is
//      safe.
//   5. Whoever ends the wait claims it by one compare-and-swap on the wait word; the winner unparks, exactly
//      once.
namespace sluice::runtime {

class Scheduler;
class Task;
class TaskGroup;
namespace this_task {
class StopScope;
}

enum class TaskState : std::uint8_t {
    free,      // on no queue: in a pool of stacks
    runnable,  // in a worker's next-slot or ring, or in the global queue
    running,   // on a worker
    parked,    // referred to by what it waits on, and by nothing else
};

// How a wait ended.
enum class Outcome : std::uint8_t { waiting = 0, woken = 1, timed_out = 2, cancelled = 3 };

// Names one wait of one task; the next wait has another. Never reused within 2^60 waits.
using Ticket = std::uint64_t;

// WaitWord: ticket, outcome and cancellation of a task's present wait in one atomic word. open() and the
// reads by the owner are plain; every transition out of `waiting` is a compare-and-swap that exactly one
// party wins.
template <class Atomics>
class BasicWaitWord {
  public:
    // open() starts a wait. Owner only, with no wait open.
    Ticket open() {
        const Ticket ticket = (word_.load(std::memory_order_relaxed) >> kTicketShift) + 1;
        word_.store(ticket << kTicketShift, std::memory_order_release);
        return ticket;
    }

    // claim() ends the wait `ticket` as `how`. True for the one caller that ended it, who must then unpark
    // the task; false when it has ended already. Any thread.
    bool claim(Ticket ticket, Outcome how) {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        while (is_waiting(seen, ticket)) {
            const std::uint64_t ended = ticket << kTicketShift | static_cast<std::uint64_t>(how);
            // acq_rel: pairs with itself. The winner's writes reach the owner, and the owner's, the winner.
            if (word_.compare_exchange_weak(seen, ended, std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {
                return true;
            }
        }
        return false;
    }

    // expose() lets cancel_exposed() end the wait from here on. False when it has ended already.
    bool expose(Ticket ticket) {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        while (is_waiting(seen, ticket)) {
            // seq_cst: pairs with the load in cancel_exposed(); see cancel() in task.cpp.
            if (word_.compare_exchange_weak(seen, seen | kExposed, std::memory_order_seq_cst)) return true;
        }
        return false;
    }

    // cancel_exposed() claims whatever wait is open and exposed. True: the caller must unpark.
    bool cancel_exposed() {
        std::uint64_t seen = word_.load(std::memory_order_seq_cst);
        while ((seen & kExposed) != 0 && (seen & kOutcome) == 0) {
            const std::uint64_t ended = (seen & ~kExposed) | static_cast<std::uint64_t>(Outcome::cancelled);
            if (word_.compare_exchange_weak(seen, ended, std::memory_order_seq_cst)) return true;
        }
        return false;
    }

    bool waiting(Ticket ticket) const { return is_waiting(word_.load(std::memory_order_acquire), ticket); }
    Outcome outcome() const { return static_cast<Outcome>(word_.load(std::memory_order_acquire) & kOutcome); }

  private:
    static constexpr std::uint64_t kOutcome = 3;
    static constexpr std::uint64_t kExposed = 4;
    static constexpr unsigned kTicketShift = 4;

    static bool is_waiting(std::uint64_t word, Ticket ticket) {
        return word >> kTicketShift == ticket && (word & kOutcome) == 0;
    }

    typename Atomics::template Atomic<std::uint64_t> word_{0};
};

using WaitWord = BasicWaitWord<StdAtomics>;

// The block of a task, at the top of its stack. Constructed once for each stack and then reused, so that a
// stale pointer to it reads a live object. Fields below `shared` may be read by any thread.
class alignas(64) Task {
  public:
    // Owner: whoever holds the task, that is its queue, its worker or its waker.
    Task* next = nullptr;
    Context context;
    void (*body)(void* closure) = nullptr;  // runs and destroys the closure
    void* closure = nullptr;
    Scheduler* scheduler = nullptr;
    TaskGroup* group = nullptr;
    this_task::StopScope* stop_scope = nullptr;  // the innermost
    void* stack_bottom = nullptr;                // lowest usable address
    std::uint8_t stack_class = 0;
    bool newborn = false;             // spawned, and never run so far
    bool cancellable = false;         // somebody may call cancel(): its waits must be open to that
    Time deadline = kNever;           // of all its cancellable waits
    unsigned last_worker = 0;         // kept up to date where migration is forced
    Task* previous = nullptr;         // in the global queue's list of the newborn
    std::int64_t runnable_since = 0;  // steady clock in ns, if this wake's delay is measured; else 0

    // shared
    WaitWord wait;
    std::atomic<std::uint64_t> id{0};
    std::atomic<std::int64_t> since{0};  // steady clock in ns, as the worker last read it
    std::atomic<const void*> what{nullptr};
    std::atomic<const char*> file{nullptr};  // where it was spawned
    std::atomic<std::uint32_t> line{0};
    std::atomic<std::uint32_t> parked_bytes{0};  // of stack in use when it parked last
    std::atomic<TaskState> state{TaskState::free};
    std::atomic<WaitReason> reason{WaitReason::none};
    std::atomic<std::uint16_t> cancel_requested{0};  // cancel()'s bit, and a count: see kCancelled
    std::atomic<std::uint32_t> held{0};  // by how many that look at its stack: it must not begin to run
};

// TaskList: a queue of tasks, linked through Task::next. Not shared.
class TaskList {
  public:
    bool empty() const { return head_ == nullptr; }
    std::size_t size() const { return size_; }

    void push(Task* task) {
        task->next = nullptr;
        (head_ == nullptr ? head_ : tail_->next) = task;
        tail_ = task;
        ++size_;
    }

    void push_front(Task* task) {
        task->next = head_;
        if (head_ == nullptr) tail_ = task;
        head_ = task;
        ++size_;
    }

    void append(TaskList&& other) {
        if (other.empty()) return;
        (head_ == nullptr ? head_ : tail_->next) = other.head_;
        tail_ = other.tail_;
        size_ += other.size_;
        other = TaskList{};
    }

    Task* front() const { return head_; }  // nullptr when empty

    // Nullptr when empty.
    Task* pop() {
        Task* const task = head_;
        if (task == nullptr) return nullptr;
        head_ = task->next;
        --size_;
        return task;
    }

  private:
    Task* head_ = nullptr;
    Task* tail_ = nullptr;
    std::size_t size_ = 0;
};

// Waiter: what a waiting task keeps on its stack for a primitive to link into its list. Constructing one
// opens the task's wait; a task has at most one wait open. A select has several Waiters that share one
// ticket.
//
// The lists belong to the primitive and are guarded by its lock. A waker unlinks and claims under that lock;
// a task whose park did not end as `woken` takes the lock and unlinks itself, so that no list ever names a
// dead Waiter.
struct Waiter {
    // Sole: a wait that only the primitive's list ends, under its lock, so that there is nothing to claim;
    // for park(). A compare-and-swap less for each wait.
    struct Sole {};

    explicit Waiter(Task* owner) : task(owner), ticket(owner->wait.open()) {}
    Waiter(Task* owner, Sole) : task(owner), ticket(kSole) {}
    Waiter(const Waiter& first, void* data) : task(first.task), ticket(first.ticket), payload(data) {}
    Waiter(const Waiter&) = default;  // before it is linked
    Waiter& operator=(const Waiter&) = delete;

    bool sole() const { return ticket == kSole; }

    // reopen() opens a further wait of the same task, after one that has ended and with the Waiter in no
    // list.
    void reopen() { ticket = task->wait.open(); }

    // wake() claims the wait as `woken`, and notes that it was this Waiter of the wait. True: the caller must
    // unpark(task), after any writes that the task is to find; false: leave it alone.
    bool wake() {
        if (!sole() && !task->wait.claim(ticket, Outcome::woken)) return false;
        won = true;
        return true;
    }

    static constexpr Ticket kSole = 0;  // no wait's: they count from 1

    Task* task;
    Ticket ticket;
    Waiter* next = nullptr;
    Waiter* prev = nullptr;
    void* payload = nullptr;
    bool linked = false;  // for the primitive's list
    bool won = false;     // written by the waker between its claim and its unpark
};

// Runs after the task's stack has been left, on the worker that ran it. Must not park, throw, or take long;
// may unpark other tasks. False: nobody has been told of the task, run it again.
using Commit = bool (*)(void* arg, Task* task);

// The calling task; nullptr outside one, and in commits. Never inlined: a thread-local's address must not be
// carried across a park, since the task may be on another thread afterwards.
[[gnu::noinline]] Task* current_task();

// park() stops the calling task until unpark(). For waits that exactly one party ends, and that neither time
// out nor are cancelled. `what` is shown by inspect and not looked into.
void park(WaitReason reason, const void* what, Commit commit, void* arg);

enum class Cancellable : bool { no, yes };

// park_until() stops the calling task until `waiter`'s wait is claimed: by a waker, by the deadline (a timer
// is armed only when it is not kNever), or by cancel(). A cancellable wait also ends at the deadline of the
// task. The commit's false counts as `woken`. When it returns, no timer and no canceller refers to the stack
// any more; lists of the primitive may (see Waiter).
Outcome park_until(WaitReason reason, const void* what, Waiter& waiter, Time deadline, Commit commit,
                   void* arg, Cancellable cancellable = Cancellable::yes);

// unpark() makes a parked task runnable: exactly one call for each park, from any thread, a commit included.
// On a worker of the same scheduler it goes to the worker's next-slot, from elsewhere to the global queue,
// and an idle worker is woken if nobody is looking for work already.
void unpark(Task* task);

// cancel() asks a task to end: its present cancellable wait, if any, and all later ones end as `cancelled`.
// Sticky until the task has ended. Any thread. REQUIRES: the task has not ended (hold what its end must take,
// as a group of tasks does).
void cancel(Task* task);

// Task::cancel_requested: cancel() sets a bit, to stay; each StopScope that was asked to stop counts in the
// rest until it ends.
inline constexpr std::uint16_t kCancelled = 1;
inline constexpr std::uint16_t kOneStop = 2;

}  // namespace sluice::runtime
