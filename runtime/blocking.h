#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "runtime/task.h"
#include "runtime/time.h"

namespace sluice::runtime {

// BlockingJob: one call under way, on the stack of the task that waits for it.
struct BlockingJob {
    void (*run)(BlockingJob&);
    Task* task = nullptr;
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
    // Waits for the threads to leave. REQUIRES: no job is queued.
    ~BlockingPool();

    // submit() has `job` run, and its task unparked afterwards. False: there is no thread and none is to be
    // had. Any thread.
    bool submit(BlockingJob& job);

    // Jobs submitted so far.
    std::uint64_t jobs() const;
    // Threads at present.
    std::size_t threads() const;

  private:
    using Threads = std::list<std::thread>;

    bool start_thread();
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

template <class F>
struct BlockingCall : BlockingJob {
    using Result = std::invoke_result_t<F&>;
    using Stored =
        std::conditional_t<std::is_void_v<Result>, std::true_type,
                           std::conditional_t<std::is_reference_v<Result>, std::add_pointer_t<Result>,
                                              std::remove_const_t<Result>>>;

    explicit BlockingCall(F& f) : BlockingJob{&call}, function(f) {}

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

    F& function;
    std::optional<Stored> result;
    std::exception_ptr failure;
};

}  // namespace detail

// blocking() runs f() on a thread that may really block (a file, getaddrinfo(), a long computation), parks
// this task meanwhile and returns what f returned, or throws what it threw. Outside a task it calls f() at
// once. Not cancelled: f refers to this task's variables.
//
//     std::string text = blocking([&] { return read_file(path); });
template <class F>
std::invoke_result_t<F&> blocking(F&& f) {
    if (current_task() == nullptr) return f();
    detail::BlockingCall<std::remove_reference_t<F>> call(f);
    detail::block(call);
    return call.take();
}

}  // namespace sluice::runtime
