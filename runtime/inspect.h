#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/delay.h"
#include "runtime/task.h"
#include "runtime/time.h"

namespace sluice::runtime {

class Scheduler;

// One task as it was seen; the tasks run on meanwhile, so two of them need not be of the same moment.
struct TaskInfo {
    std::uint64_t id = 0;
    TaskState state = TaskState::free;
    WaitReason wait_reason = WaitReason::none;
    const void* waits_on = nullptr;  // the primitive, when parked
    Time since{};                    // when it parked last, or was spawned, by the clock of its worker
    std::string spawned;             // file:line of the go(), from the root of the sources on
    std::size_t stack_bytes = 0;     // between the top of its stack and where it parked; 0 while running
    std::vector<void*> frames;       // where each function it is in goes on, innermost first; see tasks()
};

struct Counters {
    unsigned workers = 0;
    unsigned active_workers = 0;  // the others rest: there are fewer CPUs than when they were started
    std::uint64_t live = 0;       // tasks that have not ended
    std::uint64_t spawned = 0;
    std::uint64_t peak = 0;  // the most that were alive, as seen whenever a stack was made
    std::uint64_t steals = 0;
    std::uint64_t naps = 0;  // times that a worker left the others alone, since what it had stolen was brief
    std::uint64_t parks = 0;
    std::uint64_t switches = 0;  // of tasks that left their stacks: parks, yields and ends
    std::uint64_t polls = 0;
    std::uint64_t uncaught = 0;  // exceptions that left a task
    std::uint64_t blocking_jobs = 0;
    std::uint64_t stale_workers = 0;   // times that a task held its worker up for 10 ms or more
    std::uint64_t trimmed_stacks = 0;  // times that memory of a stack was given back
    std::uint64_t stack_bytes = 0;     // virtual memory reserved for stacks
    Delays scheduling_delay;           // from a wake to the first instruction after it, of those measured
};

enum class WithFrames : bool { no, yes };

// What the task does: "running", or "parked in accept".
std::string what_it_does(const TaskInfo& task);

// Any thread, in a task or not, while the scheduler exists.
//
//     for (const TaskInfo& task : tasks(scheduler)) std::cout << task.id << ' ' << what_it_does(task) <<
//     '\n'; std::cout << counters(scheduler).live << " tasks\n" << dump(scheduler);
//
// With frames, for tasks that are parked: each is held still while its stack is read, for some microseconds
// in which a worker that is to run it spins. None (an empty list) for one that ran in between, and where the
// system has no membarrier(2).
std::vector<TaskInfo> tasks(Scheduler& scheduler, WithFrames frames = WithFrames::no);
Counters counters(Scheduler& scheduler);
// The tasks as text, grouped by where they were spawned and what they wait for, the largest group first.
// Below a group of parked ones the frames of its first: 32 lines of at most 255 bytes.
std::string dump(Scheduler& scheduler);

}  // namespace sluice::runtime
