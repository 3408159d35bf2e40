#pragma once

#include <cstddef>
#include <span>
#include <type_traits>

#include "runtime/barrier.h"
#include "runtime/task.h"

namespace sluice::runtime {

// Those that are to run must wait meanwhile, so it is a fence for a few at a time.
inline constexpr std::size_t kHeldAtATime = 16;

// while_held() calls look(task) for each of `tasks`, in their order, while none of them can begin to run: one
// that look() finds parked stays parked, and the stack above where it parked as it is. (Below that it may be
// on its way out still, and it may be made runnable.) For some microseconds and kHeldAtATime tasks at most: a
// worker that comes to one of them spins. Any thread; several may hold the same task. False: this kernel has
// no such fence, and look() was not called.
//
// With Worker::before_running(): either that sees that the task is held, and waits, or look() sees that the
// task runs.
template <class Look>
bool while_held(std::span<Task* const> tasks, Look&& look) {
    static_assert(std::is_nothrow_invocable_v<Look&, Task&>, "or tasks would be held for good");
    for (Task* const task : tasks) task->held.fetch_add(1, std::memory_order_relaxed);
    const bool fenced = heavy_barrier();
    for (Task* const task : tasks) {
        if (fenced) look(*task);
        task->held.fetch_sub(1, std::memory_order_release);  // pairs with the load in before_running()
    }
    return fenced;
}

}  // namespace sluice::runtime
