#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/task.h"

namespace sluice::runtime {

// The frames of a task that is parked: where each of the functions it is in goes on, from the primitive that
// it waits in outwards. Not of one that runs: its stack changes.
//
// Found by frame pointers, which our own code has. Through a function of a library that was built without
// them the walk may leave out frames, or end; it never leaves the stack.
struct Frames {
    static constexpr std::size_t kMax = 32;

    std::array<void*, kMax> addresses;  // only the first `count` are there
    std::size_t count = 0;
};

// Which park of which task: it has changed when the task has run in between, unless it waits for the very
// same thing again.
struct ParkSeen {
    Task* task = nullptr;
    std::uint64_t id = 0;
    WaitReason reason = WaitReason::none;
    const void* what = nullptr;
};

// read_frames() fills in the frames of each of `parks`, none for a task that has moved on since, or where the
// kernel lacks the fence that while_held() needs. At most kHeldAtATime. Any thread, while the scheduler
// exists.
void read_frames(std::span<const ParkSeen> parks, std::span<Frames> frames);

}  // namespace sluice::runtime
