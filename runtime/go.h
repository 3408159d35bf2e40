#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

#include "runtime/task.h"

namespace sluice::runtime {

// The stack of a task: virtual memory reserved, faulted in by touch. small: 64 KiB, large: 8 MiB; usual: what
// the scheduler's options say, 256 KiB by default.
enum class StackClass : unsigned char { small, usual, large };

class TaskGroup;

struct SpawnOptions {
    StackClass stack = StackClass::usual;
    TaskGroup* group = nullptr;  // TaskGroup::go()'s
};

namespace detail {

// A task that has its stack and is not runnable yet. launch() or abandon() it.
struct Embryo {
    Task* task;
    void* closure;  // `size` bytes, aligned as asked
};
// `scheduler` null: that of the calling task. Throws std::bad_alloc when no stack is to be had.
Embryo prepare(Scheduler* scheduler, SpawnOptions options, std::size_t size, std::size_t align,
               const std::source_location& where);
// `may_yield`: to let those before it end, in a caller that spawns one after another.
void launch(Task* task, void (*body)(void*), bool may_yield);
void abandon(Task* task) noexcept;

// In a catch block: counts and reports what was caught as an exception that left `task`, the calling one.
void report_uncaught(Task& task);

template <class F, class... Args>
struct Closure {
    F f;
    std::tuple<Args...> args;

    static void run(void* self) {
        struct Destroyed {
            Closure& closure;
            ~Destroyed() { closure.~Closure(); }
        } whole{*static_cast<Closure*>(self)};
        std::apply([&](Args&... a) { std::invoke(std::move(whole.closure.f), std::move(a)...); },
                   whole.closure.args);
    }
};

template <class Built, class F, class... Args>
void start(Scheduler* scheduler, SpawnOptions options, const std::source_location& where, F&& f,
           Args&&... args) {
    static_assert(alignof(Built) <= 64, "a closure is aligned to a cache line at most");
    static_assert(sizeof(Built) <= 8192, "a closure lives on its task's stack; pass large state by pointer");
    const Embryo embryo = prepare(scheduler, options, sizeof(Built), alignof(Built), where);
    struct Guard {
        Task* task;
        ~Guard() {
            if (task != nullptr) abandon(task);
        }
    } guard{embryo.task};
    ::new (embryo.closure)
        Built{std::forward<F>(f), std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)};
    guard.task = nullptr;
    // Whoever names a scheduler is no go(): an executor, or a wake of a dormant, whose caller may hold a
    // lock.
    launch(embryo.task, &Built::run, scheduler == nullptr);
}

}  // namespace detail

// Entry: what a task is to call, with arguments of these types, and where in the source it was asked for.
// Made from any callable at a call of go(); lives for that call only.
template <class... Args>
class Entry {
  public:
    template <class F>
        requires(!std::is_same_v<std::remove_cvref_t<F>, Entry> &&
                 std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>)
    Entry(F&& f, std::source_location where = std::source_location::current())  // NOLINT: implicit by design
        : start_(&start_as<F>), where_(where) {
        if constexpr (std::is_function_v<std::remove_reference_t<F>>) {
            callable_ = reinterpret_cast<void*>(&f);
        } else {
            callable_ = const_cast<void*>(static_cast<const volatile void*>(std::addressof(f)));
        }
    }

    void start(Scheduler* scheduler, SpawnOptions options, Args&&... args) const {
        start_(scheduler, options, where_, callable_, std::forward<Args>(args)...);
    }

  private:
    template <class F>
    static void start_as(Scheduler* scheduler, SpawnOptions options, const std::source_location& where,
                         void* f, Args&&... args) {
        using Callable = std::remove_reference_t<F>;
        using Built = detail::Closure<std::decay_t<F>, std::decay_t<Args>...>;
        if constexpr (std::is_function_v<Callable>) {
            auto* function = reinterpret_cast<Callable*>(f);
            detail::start<Built>(scheduler, options, where, function, std::forward<Args>(args)...);
        } else {
            detail::start<Built>(scheduler, options, where, static_cast<F&&>(*static_cast<Callable*>(f)),
                                 std::forward<Args>(args)...);
        }
    }

    void* callable_;
    void (*start_)(Scheduler*, SpawnOptions, const std::source_location&, void*, Args&&...);
    std::source_location where_;
};

// go() runs f(args…) in a new task of the calling task's scheduler. f and the arguments are evaluated by the
// caller and copied or moved onto the new task's stack; captures by reference refer to the caller's
// variables, which must outlive the task. The new task runs when the caller parks, or earlier on another
// worker. A caller that spawns one after another without parking is made to yield now and then, so that what
// it spawned can end: as across any park, no std::mutex is held across go(). Throws std::bad_alloc when no
// stack is to be had. REQUIRES: called in a task (elsewhere: Scheduler::spawn).
//
//     go([&] { server.serve(); });
//     go(connection, std::move(stream), std::ref(app));
template <class... Args>
void go(std::type_identity_t<Entry<Args...>> f, Args&&... args) {
    f.start(nullptr, SpawnOptions{}, std::forward<Args>(args)...);
}

// go_with() is go() on a stack of another class.
template <class... Args>
void go_with(SpawnOptions options, std::type_identity_t<Entry<Args...>> f, Args&&... args) {
    f.start(nullptr, options, std::forward<Args>(args)...);
}

}  // namespace sluice::runtime
