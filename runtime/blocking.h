#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "runtime/task.h"
#include "runtime/time.h"

namespace sluice::runtime {

// BlockingJob: one call under way. On the stack of the task that waits for it; on the heap if that may give
// up: whoever ends the wait first leaves the job to the other, who destroys it.
struct BlockingJob {
    void (*run)(BlockingJob&);
    void (*destroy)(BlockingJob&) = nullptr;  // of one on the heap
    Scheduler* scheduler = nullptr;
    Task* task = nullptr;
    Ticket ticket = Waiter::kSole;  // of the task's wait
    BlockingJob* next = nullptr;
    bool done = false;
};

// BlockingPool: the threads of one Scheduler that may block. They are started when a job finds none idle, up
// to kThreadsMax, beyond which jobs queue; a thread that was idle for kIdleMax leaves.
class BlockingPool {
  public:
    static constexpr unsigned kThreadsMax = 64;
    static constexpr Duration kIdleMax = std::chrono::seconds(5);

    BlockingPool() = default;
    BlockingPool(const BlockingPool&) = delete;
    // Waits for the jobs that were given up and have begun, and for the threads to leave. REQUIRES: no task
    // waits.
    ~BlockingPool();

    // submit() has `job` run, and its task unparked afterwards; one that was given up before it began is not
    // run. False: there is no thread and none is to be had. Any thread.
    bool submit(BlockingJob& job);

    // Jobs submitted so far.
    std::uint64_t jobs() const;
    // Threads at present.
    std::size_t threads() const;

  private:
    using Threads = std::list<std::thread>;

    bool start_thread();
    static void perform(BlockingJob& job);
    void serve(Threads::iterator self);
    BlockingJob* wait_for_job(std::unique_lock<std::mutex>& lock);

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;  // guarded by mutex_, as all below
    std::size_t free_ = 0;   // threads that run no job
    std::size_t queued_ = 0;
    std::uint64_t jobs_ = 0;
    BlockingJob* first_ = nullptr;
    BlockingJob* last_ = nullptr;
    Threads threads_;
    Threads left_;  // to be joined
};

namespace detail {

// Parks the calling task while `job` runs on a thread of its scheduler's pool.
void block(BlockingJob& job);
// The same until the deadline, or the task's, or until the task is cancelled: false, and the job is gone.
bool block_until(BlockingJob& job, Time deadline);

// A call of a function that it owns; of another's when F is a reference.
template <class F>
struct BlockingCall : BlockingJob {
    using Result = std::invoke_result_t<F&>;
    using Stored =
        std::conditional_t<std::is_void_v<Result>, std::true_type,
                           std::conditional_t<std::is_reference_v<Result>, std::add_pointer_t<Result>,
                                              std::remove_const_t<Result>>>;

    explicit BlockingCall(F&& f) : BlockingJob{.run = &call}, function(std::forward<F>(f)) {}

    static void call(BlockingJob& job) {
        auto& self = static_cast<BlockingCall&>(job);
        try {
            if constexpr (std::is_void_v<Result>) {
                self.function();
            } else if constexpr (std::is_reference_v<Result>) {
                self.result = &self.function();
            } else {
                self.result.emplace(self.function());
            }
        } catch (...) {
            self.failure = std::current_exception();
        }
    }

    Result take() {
        if (failure) std::rethrow_exception(std::move(failure));
        if constexpr (std::is_reference_v<Result>) {
            return static_cast<Result>(**result);
        } else if constexpr (!std::is_void_v<Result>) {
            return std::move(*result);
        }
    }

    static void destroy_this(BlockingJob& job) { delete static_cast<BlockingCall*>(&job); }

    F function;
    std::optional<Stored> result;
    std::exception_ptr failure;
};

template <class R>
using OrNothing = std::conditional_t<std::is_void_v<R>, bool, std::optional<R>>;

}  // namespace detail

// blocking() runs f() on a thread that may really block (a file, getaddrinfo(), a long computation), parks
// this task meanwhile and returns what f returned, or throws what it threw. Outside a task it calls f() at
// once. Neither timed nor cancelled: f refers to this task's variables.
//
//     std::string text = blocking([&] { return read_file(path); });
template <class F>
std::invoke_result_t<F&> blocking(F&& f) {
    if (current_task() == nullptr) return f();
    detail::BlockingCall<std::remove_reference_t<F>&> call(f);
    detail::block(call);
    return call.take();
}

// blocking_until() is blocking() that gives up at `deadline`, at the task's, or when the task is cancelled:
// it returns nothing then (false where f returns void, else true). f is moved to the heap and owns all it
// needs, since it goes on without the task: what it returns or throws is dropped on its thread, and the
// scheduler's destructor waits for it. An f that has not begun by then never does. While the task waits,
// virtual time stands still.
//
//     if (auto text = blocking_until(now() + 1s, [path] { return read_file(path); })) use(*text);
template <class F>
detail::OrNothing<std::invoke_result_t<std::decay_t<F>&>> blocking_until(Time deadline, F&& f) {
    using Call = detail::BlockingCall<std::decay_t<F>>;
    static_assert(!std::is_reference_v<typename Call::Result>, "what f returns is a value, and its own");
    auto call = std::make_unique<Call>(std::decay_t<F>(std::forward<F>(f)));
    if (current_task() == nullptr) {
        Call::call(*call);
    } else {
        call->destroy = &Call::destroy_this;
        BlockingJob& job = *call.release();
        if (!detail::block_until(job, deadline)) return {};
        call.reset(static_cast<Call*>(&job));
    }
    if constexpr (std::is_void_v<typename Call::Result>) {
        call->take();
        return true;
    } else {
        return call->take();
    }
}

}  // namespace sluice::runtime
