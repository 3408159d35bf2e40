#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include "runtime/go.h"
#include "runtime/mutex.h"
#include "runtime/scheduler.h"
#include "runtime/tcp.h"
#include "runtime/wait_list.h"

// The bridge to Asio, both ways: Asio code runs on our tasks (Executor), and a task waits for Asio's
// operations (use_task). Sockets have no part in it: TcpStream is ours, and what Asio's layered streams need
// of it is here.
namespace sluice::runtime {

// Executor: runs what it is given in a new task of one scheduler: boost::asio::post(), co_spawn() and timers
// and resolvers made with it work. Copies compare equal. A value; its uses end before run() does, which does
// not wait for an operation of Asio's that is under way.
//
// What Asio itself needs to wait (timers, the resolver) is done by threads of Asio's own, started when first
// used and gone with the scheduler; completion handlers run as tasks.
class Executor {
  public:
    explicit Executor(Scheduler& scheduler) : scheduler_(&scheduler) {}
    // That of the calling task.
    Executor() : scheduler_(Scheduler::current()) {}

    // execute() starts f() in a new task. Any thread.
    template <class F>
    void execute(F f) const {
        detail::start<detail::Closure<F>>(scheduler_, SpawnOptions{}, std::source_location::current(),
                                          std::move(f));
    }

    // The properties that Asio asks for: execute() never runs f before it returns.
    boost::asio::execution_context& query(boost::asio::execution::context_t) const;
    static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) {
        return boost::asio::execution::blocking.never;
    }

    friend bool operator==(const Executor&, const Executor&) = default;

  private:
    Scheduler* scheduler_;
};

inline TcpStream::executor_type TcpStream::get_executor() const noexcept {
    return Executor();
}

// use_task: a completion token that parks the calling task until the operation is done and returns its
// result, in the place of a callback.
//
//     boost::asio::steady_timer timer(Executor(), 1s);
//     timer.async_wait(use_task);          // throws system_error
//     error_code error;
//     timer.async_wait(use_task[error]);   // or stores it
//
// When the task is cancelled, or its deadline passes, the operation is cancelled (operation_aborted;
// timed_out at the deadline), where it can be by itself: Asio's timers, signals, sockets and what is made of
// them can. The others, as the resolver's lookup, the task waits for, since they refer to its variables.
// Virtual time does not jump meanwhile.
struct UseTask {
    error_code* error = nullptr;
    UseTask operator[](error_code& e) const { return {&e}; }
};
inline constexpr UseTask use_task{};

namespace detail {

// Runs the parts of one operation in tasks, one at a time: Asio allows it to be cancelled only between two.
class InTurn {
  public:
    explicit InTurn(Scheduler& scheduler) : executor_(scheduler), turn_(std::make_shared<Mutex>()) {}

    template <class F>
    void execute(F f) const {
        executor_.execute([turn = turn_, f = std::move(f)]() mutable {
            std::lock_guard lock(*turn);
            f();
        });
    }

    template <class Property>
    auto query(const Property& property) const -> decltype(std::declval<Executor>().query(property)) {
        return executor_.query(property);
    }

    Mutex& turn() const { return *turn_; }

    friend bool operator==(const InTurn&, const InTurn&) = default;

  private:
    Executor executor_;
    std::shared_ptr<Mutex> turn_;
};

// AsioWait: a task's wait for one operation. Lives on its stack.
class AsioWait {
  public:
    AsioWait();

    const InTurn& executor() const { return executor_; }
    boost::asio::cancellation_slot slot() { return cancel_.slot(); }

    // wait() parks until ended(). Cancelled before, or out of time, it cancels the operation and waits on.
    // Returns why it did so, or `woken`.
    Outcome wait();
    // ended() is what the operation's completion calls last. Any thread.
    void ended();

  private:
    Outcome park(Waiter waiter);
    bool has_ended();

    const InTurn executor_;
    boost::asio::cancellation_signal cancel_;  // emitted in turn
    SpinLock lock_;
    bool ended_ = false;  // guarded by lock_
    WaitList waiter_;     // guarded by lock_
};

// Virtual time does not jump while it lives.
struct Hold {
    explicit Hold(Scheduler& s) : scheduler(s) { scheduler.hold(); }
    ~Hold() { scheduler.release(); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    Scheduler& scheduler;
};

// What Asio asks of a token, for the signature void(error_code, Results...).
template <class... Results>
class AsioResult {
  public:
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, UseTask token, Args&&... args) {
        Wait wait;
        const Hold hold(*waiting_task()->scheduler);
        std::forward<Initiation>(initiation)(Handler{&wait}, std::forward<Args>(args)...);
        const Outcome outcome = wait.wait();
        error_code& error = std::get<0>(*wait.results);
        if (outcome == Outcome::timed_out && error == boost::asio::error::operation_aborted)
            error = boost::asio::error::timed_out;
        return finish(token, *wait.results);
    }

  private:
    using Tuple = std::tuple<error_code, Results...>;

    struct Wait : AsioWait {
        std::optional<Tuple> results;
    };

    struct Handler {
        Wait* wait;

        using executor_type = InTurn;
        executor_type get_executor() const noexcept { return wait->executor(); }
        using cancellation_slot_type = boost::asio::cancellation_slot;
        cancellation_slot_type get_cancellation_slot() const noexcept { return wait->slot(); }

        void operator()(error_code error, Results... results) {
            wait->results.emplace(error, std::move(results)...);
            wait->ended();
        }
    };

    static auto finish(UseTask token, Tuple& all) {
        const error_code error = std::get<0>(all);
        if (token.error != nullptr) {
            *token.error = error;
        } else if (error) {
            throw boost::system::system_error(error);
        }
        if constexpr (sizeof...(Results) == 1) {
            return std::move(std::get<1>(all));
        } else if constexpr (sizeof...(Results) > 1) {
            return std::apply(
                [](auto&, auto&... results) { return std::tuple<Results...>(std::move(results)...); }, all);
        }
    }
};

}  // namespace detail

}  // namespace sluice::runtime

// The error code of an operation is thrown, or stored; the rest is returned: nothing, the value, or a tuple.
template <class... Results>
class boost::asio::async_result<sluice::runtime::UseTask, void(boost::system::error_code, Results...)>
    : public sluice::runtime::detail::AsioResult<Results...> {};
