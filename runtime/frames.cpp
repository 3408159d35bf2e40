#include "runtime/frames.h"

#include <algorithm>

#include "runtime/hold.h"

namespace sluice::runtime {

namespace {

// From the frame that begin_park() noted: it and those above it stay as they are until the task runs again,
// whether the task has left its stack by now or is about to. Where the saved context points to is, in
// contrast, only known once it has been left.
//
// Not for the sanitizers: these are words of frames that are not ours, and what a library without frame
// pointers left in the register may be the address of any word of the stack.
[[gnu::noinline, gnu::no_sanitize_address, gnu::no_sanitize_thread]] void walk(const Task& task,
                                                                               Frames& into) {
    const auto top = reinterpret_cast<std::uintptr_t>(&task);
    const auto bottom = reinterpret_cast<std::uintptr_t>(task.stack_bottom);
    std::uintptr_t frame = top - task.parked_bytes.load(std::memory_order_relaxed);
    std::uintptr_t last = bottom - 1;
    while (frame > last && frame <= top - 2 * sizeof frame && frame % alignof(void*) == 0) {
        void* const* const words =
            reinterpret_cast<void* const*>(frame);  // the caller's frame, and where it goes on
        if (words[1] == nullptr || into.count == Frames::kMax) return;
        into.addresses[into.count++] = words[1];
        last = frame;
        frame = reinterpret_cast<std::uintptr_t>(words[0]);
    }
}

bool still_in(const ParkSeen& park, const Task& task) {
    return task.state.load(std::memory_order_acquire) == TaskState::parked &&
           task.id.load(std::memory_order_relaxed) == park.id &&
           task.reason.load(std::memory_order_relaxed) == park.reason &&
           task.what.load(std::memory_order_relaxed) == park.what;
}

}  // namespace

void read_frames(std::span<const ParkSeen> parks, std::span<Frames> frames) {
    std::array<Task*, kHeldAtATime> tasks{};
    const std::size_t count = std::min({parks.size(), frames.size(), tasks.size()});
    for (std::size_t i = 0; i < count; ++i) tasks[i] = parks[i].task;
    std::size_t at = 0;
    while_held(std::span<Task* const>(tasks).first(count), [&](const Task& task) noexcept {
        if (still_in(parks[at], task)) walk(task, frames[at]);
        ++at;
    });
}

}  // namespace sluice::runtime
