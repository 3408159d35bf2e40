#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/spin_lock.h"
#include "runtime/time.h"
#include "runtime/wait_reason.h"

namespace sluice::runtime {

class Scheduler;

// trace() notes what every worker does for `duration`, which parks the calling task, and returns it in
// Chrome's trace format: JSON, for chrome://tracing or ui.perfetto.dev. A track for each worker, with
//
//   - a slice for each time that a task ran, named by where it was spawned, with its id and how it ended;
//   - "park", with what for, "steal", with whom from, and "sleep", while a worker had nothing to do.
//
// Of many events the last kTraceEvents are kept, shared evenly among the workers. Nullopt: another trace is
// under way. REQUIRES: called in a task of `scheduler`.
inline constexpr std::size_t kTraceEvents = 32 * 1024;
std::optional<std::string> trace(Scheduler& scheduler, Duration duration);

// One event of a worker.
struct TraceEvent {
    enum class Kind : std::uint8_t {
        park,
        yield,
        exit,
        steal,
        sleep
    };  // the first three end a run of a task

    Time began{};
    Time ended{};
    std::uint64_t task = 0;      // of steal: the worker stolen from
    const char* file = nullptr;  // where the task was spawned
    std::uint32_t line = 0;
    Kind kind = Kind::park;
    WaitReason reason = WaitReason::none;
};

// TraceRing: the last events of a worker. Off, which is nearly always, it costs who asks on() a branch and
// holds no memory. add() is the worker's; the others anyone's.
class TraceRing {
  public:
    bool on() const { return on_.load(std::memory_order_relaxed); }
    void start(std::size_t events);
    void add(const TraceEvent& event);
    // stop() returns what there is, oldest first.
    std::vector<TraceEvent> stop();

  private:
    std::atomic<bool> on_{false};
    SpinLock lock_;
    std::vector<TraceEvent> events_;  // guarded by lock_, as all below
    std::size_t added_ = 0;
};

}  // namespace sluice::runtime
