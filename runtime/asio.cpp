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
    lock_.lock();
    if (has_ended()) return Outcome::woken;
    Waiter waiter(waiting_task());
    const Outcome outcome = wait_in(waiter_, lock_, waiter, WaitReason::asio, this);
    if (outcome == Outcome::woken) return outcome;
    {
        std::lock_guard turn(executor_.turn());
        lock_.lock();
        if (has_ended()) return outcome;
        lock_.unlock();
        cancel_.emit(boost::asio::cancellation_type::terminal);
    }
    lock_.lock();
    if (has_ended()) return outcome;
    Waiter to_the_end(waiting_task(), Waiter::Sole{});
    wait_in(waiter_, lock_, to_the_end, WaitReason::asio, this);
    return outcome;
}

// With lock_ held; lets go of it if so.
bool AsioWait::has_ended() {
    if (ended_) lock_.unlock();
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
