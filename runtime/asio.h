#pragma once

#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/tcp.h"
#include "runtime/wait_list.h"

// The bridge to Asio, both ways: Asio code runs on our tasks (Executor), and a task waits for Asio's
// operations (use_task). Sockets have no part in it: TcpStream is ours, and what Asio's layered streams need
// of it is here.
namespace sluice::runtime {

// Executor: runs what it is given in a new task of one scheduler: boost::asio::post(), co_spawn() and timers
// and resolvers made with it work. Copies compare equal. A value; the scheduler must outlive its uses.
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
// When the task is cancelled, or its deadline passes, the task still waits for the operation to end, since
// that refers to its variables; cancel the operation by its object's own cancel(). Virtual time does not jump
// meanwhile.
struct UseTask {
    error_code* error = nullptr;
    UseTask operator[](error_code& e) const { return {&e}; }
};
inline constexpr UseTask use_task{};

namespace detail {

// Parks the calling task in an asio operation that `initiate(arg)` starts; its completion calls asio_done().
struct AsioWait {
    Task* task = nullptr;
    void (*initiate)(AsioWait& self) = nullptr;
    std::exception_ptr failure;  // of the initiation
};
void wait_for_asio(AsioWait& wait);
void asio_done(AsioWait& wait);

// What Asio asks of a token, for the signature void(error_code, Results...).
template <class... Results>
class AsioResult {
  public:
    template <class Initiation, class... Args>
    static auto initiate(Initiation&& initiation, UseTask token, Args&&... args) {
        Operation<Initiation, Args...> operation{{}, initiation, {std::forward<Args>(args)...}};
        operation.initiate = &Operation<Initiation, Args...>::start;
        wait_for_asio(operation);
        return finish(token, *operation.results);
    }

  private:
    using Tuple = std::tuple<error_code, Results...>;

    struct Wait : AsioWait {
        std::optional<Tuple> results;
    };

    template <class Initiation, class... Args>
    struct Operation : Wait {
        std::remove_reference_t<Initiation>& initiation;
        std::tuple<Args&&...> args;

        static void start(AsioWait& base) {
            auto& self = static_cast<Operation&>(base);
            auto handler = [wait = static_cast<Wait*>(&self)](error_code error, Results... results) {
                wait->results.emplace(error, std::move(results)...);
                asio_done(*wait);
            };
            std::apply(
                [&](auto&&... a) {
                    static_cast<Initiation&&>(self.initiation)(std::move(handler),
                                                               std::forward<decltype(a)>(a)...);
                },
                std::move(self.args));
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
