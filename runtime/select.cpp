#include "runtime/select.h"

#include <algorithm>
#include <functional>

#include "runtime/this_task.h"
#include "runtime/worker.h"

// As Go's: all channels are locked, in the order of their addresses, so that nothing changes between the look
// at the first and the last; if nothing can be done, the task is linked into all of them and parks, and the
// locks are let go of on the stack arrived at. Whoever claims the shared wait first decides it. The others'
// links are taken out afterwards, each under its lock.
namespace sluice::runtime::detail {

namespace {

class Locks {
  public:
    explicit Locks(std::span<SelectCase* const> cases) {
        for (const SelectCase* c : cases) {
            if (c->lock != nullptr) locks_[count_++] = c->lock;
        }
        std::sort(locks_.begin(), locks_.begin() + count_, std::less<>());
        count_ = std::unique(locks_.begin(), locks_.begin() + count_) - locks_.begin();
    }
    void lock() const {
        for (std::ptrdiff_t i = 0; i < count_; ++i) locks_[static_cast<std::size_t>(i)]->lock();
    }
    void unlock() const {
        for (std::ptrdiff_t i = count_; i-- > 0;) locks_[static_cast<std::size_t>(i)]->unlock();
    }

  private:
    std::array<SpinLock*, kSelectMax> locks_{};
    std::ptrdiff_t count_ = 0;
};

bool unlock_all(void* arg, Task*) {
    // A copy: the task may be running again as soon as the first lock is free. Its channels stay until it has
    // locked them once more.
    const Locks locks = *static_cast<Locks*>(arg);
    locks.unlock();
    return true;
}

// The case that can be done at once, done; -1 when there is none. Begins anywhere and goes round: with a
// random start each gets its turn.
int attempt_any(std::span<SelectCase* const> cases, Waiter*& woken) {
    const std::size_t start = Worker::here()->random() % cases.size();
    for (std::size_t i = 0; i < cases.size(); ++i) {
        const std::size_t at = (start + i) % cases.size();
        SelectCase& c = *cases[at];
        if (c.attempt != nullptr && c.attempt(c, woken)) return static_cast<int>(at);
    }
    return -1;
}

int place_of(std::span<SelectCase* const> cases, auto&& is_it) {
    const auto it = std::find_if(cases.begin(), cases.end(), is_it);
    return it == cases.end() ? -1 : static_cast<int>(it - cases.begin());
}

int withdraw_all(std::span<SelectCase* const> cases) {
    int happened = kSelectCancelled;
    for (std::size_t i = 0; i < cases.size(); ++i) {
        if (cases[i]->lock != nullptr && cases[i]->withdraw(*cases[i])) happened = static_cast<int>(i);
    }
    return happened;
}

}  // namespace

int select(std::span<SelectCase* const> cases) {
    Task* const self = waiting_task();
    Locks locks(cases);
    Waiter* woken = nullptr;
    locks.lock();
    if (const int done = attempt_any(cases, woken); done >= 0) {
        locks.unlock();
        if (woken != nullptr) unpark(woken->task);
        return done;
    }
    if (const int at = place_of(cases, [](const SelectCase* c) { return c->otherwise; }); at >= 0) {
        locks.unlock();
        return at;
    }
    Time deadline = kNever;
    for (const SelectCase* c : cases) deadline = std::min(deadline, c->deadline);
    Waiter wait(self);  // in no list itself; its ticket is shared
    for (SelectCase* c : cases) {
        if (c->lock != nullptr) c->enlist(*c, wait);
    }
    const Outcome outcome =
        park_until(WaitReason::select, cases.front()->lock, wait, deadline, &unlock_all, &locks);
    locks.lock();
    const int happened = withdraw_all(cases);
    locks.unlock();
    if (outcome == Outcome::woken) return happened;
    if (outcome == Outcome::cancelled || deadline > self->deadline) return kSelectCancelled;
    return place_of(cases, [&](const SelectCase* c) { return c->deadline == deadline; });
}

}  // namespace sluice::runtime::detail
