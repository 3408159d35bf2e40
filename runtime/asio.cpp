#include "runtime/asio.h"

#include <mutex>

#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

// One for each scheduler, made when it is first asked for.
struct AsioContext final : boost::asio::execution_context {
    ~AsioContext() {
        shutdown();
        destroy();
    }
};

}  // namespace

boost::asio::execution_context& Executor::query(boost::asio::execution::context_t) const {
    Scheduler::State& state = scheduler_->state();
    std::call_once(state.asio_once, [&] { state.asio = std::make_shared<AsioContext>(); });
    return *static_cast<AsioContext*>(state.asio.get());
}

namespace detail {

AsioWait::AsioWait() : executor_(*waiting_task()->scheduler) {}

Outcome AsioWait::wait() {
    const Outcome outcome = park(Waiter(waiting_task()));
    if (outcome == Outcome::woken) return outcome;
    {
        std::lock_guard turn(executor_.turn());
        if (!has_ended()) cancel_.emit(boost::asio::cancellation_type::terminal);
    }
    park(Waiter(waiting_task(), Waiter::Sole{}));
    return outcome;
}

// At once when it has ended.
Outcome AsioWait::park(Waiter waiter) {
    lock_.lock();
    if (!ended_) return wait_in(waiter_, lock_, waiter, WaitReason::asio, this);
    lock_.unlock();
    return Outcome::woken;
}

bool AsioWait::has_ended() {
    std::lock_guard lock(lock_);
    return ended_;
}

// From the unlock on, the waiting task may have returned.
void AsioWait::ended() {
    WakeList wakes;
    lock_.lock();
    ended_ = true;
    if (Waiter* const waiter = waiter_.claim_front()) wakes.push(waiter);
    lock_.unlock();
    wakes.unpark_all();
}

}  // namespace detail

}  // namespace sluice::runtime
