#include "runtime/inspect.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string_view>

#include <cxxabi.h>

#include "runtime/frames.h"
#include "runtime/hold.h"
#include "runtime/scheduler_state.h"
#include "runtime/symbols.h"

namespace sluice::runtime {

namespace {

std::string_view name(TaskState state) {
    switch (state) {
        case TaskState::free: return "free";
        case TaskState::runnable: return "runnable";
        case TaskState::running: return "running";
        case TaskState::parked: return "parked";
    }
    return "unknown";
}

// The compiler names a file by the way to it, from where it ran or from the root of all; up to the sources it
// is that of this file.
std::string_view within_sources(std::string_view file) {
    constexpr std::string_view kThis = __FILE__;
    constexpr std::string_view kSources = kThis.substr(0, kThis.rfind("runtime/"));
    if (file.starts_with(kSources)) file.remove_prefix(kSources.size());
    return file;
}

struct Seen {
    TaskInfo info;
    Task* task = nullptr;
};

std::vector<Seen> look(Scheduler& scheduler) {
    std::vector<Seen> all;
    scheduler.state().stacks.each_task([&](Task& task) {
        TaskInfo info;
        info.id = task.id.load(std::memory_order_relaxed);
        info.state = task.state.load(std::memory_order_relaxed);
        const char* const file = task.file.load(std::memory_order_relaxed);
        if (info.id == 0 || info.state == TaskState::free || file == nullptr) return;
        if (info.state == TaskState::parked) {
            info.wait_reason = task.reason.load(std::memory_order_relaxed);
            info.waits_on = task.what.load(std::memory_order_relaxed);
            info.stack_bytes = task.parked_bytes.load(std::memory_order_relaxed);
        }
        info.since = Time(Duration(task.since.load(std::memory_order_relaxed)));
        info.spawned = std::string(within_sources(file)) + ':' +
                       std::to_string(task.line.load(std::memory_order_relaxed));
        all.push_back({std::move(info), &task});
    });
    std::ranges::sort(all, {}, [](const Seen& seen) { return seen.info.id; });
    return all;
}

std::vector<Seen*> parked_of(std::span<Seen> all) {
    std::vector<Seen*> parked;
    for (Seen& seen : all) {
        if (seen.info.state == TaskState::parked) parked.push_back(&seen);
    }
    return parked;
}

void add_frames(std::span<Seen* const> parked) {
    std::vector<ParkSeen> parks;
    for (const Seen* seen : parked)
        parks.push_back({seen->task, seen->info.id, seen->info.wait_reason, seen->info.waits_on});
    for (std::size_t i = 0; i < parks.size(); i += kHeldAtATime) {
        const std::size_t some = std::min(kHeldAtATime, parks.size() - i);
        std::vector<Frames> frames(some);
        read_frames(std::span(parks).subspan(i, some), frames);
        for (std::size_t j = 0; j < some; ++j) {
            const auto found = std::span(frames[j].addresses).first(frames[j].count);
            parked[i + j]->info.frames.assign(found.begin(), found.end());
        }
    }
}

// The functions that the frames of some tasks are in.
class Functions {
  public:
    explicit Functions(std::span<Seen* const> tasks) {
        for (const Seen* seen : tasks) {
            for (void* const frame : seen->info.frames) found_.push_back({.address = call_of(frame)});
        }
        std::ranges::sort(found_, {}, &Symbol::address);
        const auto twice = std::ranges::unique(found_, {}, &Symbol::address);
        found_.erase(twice.begin(), twice.end());
        symbols_.find(found_);
    }

    std::string line_of(void* frame) const {
        const Symbol& symbol = *std::ranges::lower_bound(found_, call_of(frame), {}, &Symbol::address);
        const std::unique_ptr<char, decltype(&std::free)> demangled(
            symbol.function != nullptr ? abi::__cxa_demangle(symbol.function, nullptr, nullptr, nullptr)
                                       : nullptr,
            &std::free);
        const FrameLine line(symbol, demangled ? demangled.get() : symbol.function);
        return {line.text().data(), line.text().size()};
    }

  private:
    // A function goes on after its call, which may have been its last instruction.
    static std::uintptr_t call_of(void* frame) { return reinterpret_cast<std::uintptr_t>(frame) - 1; }

    Symbols symbols_;
    std::vector<Symbol> found_;  // sorted by address
};

}  // namespace

std::string what_it_does(const TaskInfo& task) {
    std::string text(name(task.state));
    if (task.state == TaskState::parked) text.append(" in ").append(name(task.wait_reason));
    return text;
}

std::vector<TaskInfo> tasks(Scheduler& scheduler, WithFrames frames) {
    std::vector<Seen> all = look(scheduler);
    if (frames == WithFrames::yes) add_frames(parked_of(all));
    std::vector<TaskInfo> infos;
    infos.reserve(all.size());
    for (Seen& seen : all) infos.push_back(std::move(seen.info));
    return infos;
}

Counters counters(Scheduler& scheduler) {
    Scheduler::State& state = scheduler.state();
    Counters sum;
    sum.workers = state.options.workers;
    sum.active_workers = state.active.load(std::memory_order_relaxed);
    sum.live = state.live();
    sum.spawned = state.spawned_outside.load(std::memory_order_acquire);
    for (const auto& worker : state.workers) {
        sum.spawned += worker->stats.spawned.get();
        sum.steals += worker->stats.steals.get();
        sum.naps += worker->stats.naps.get();
        sum.parks += worker->stats.parks.get();
        sum.switches += worker->stats.switches.get();
        sum.polls += worker->stats.polls.get();
        sum.uncaught += worker->stats.uncaught.get();
        worker->delays.add_to(sum.scheduling_delay);
    }
    sum.peak = std::max(state.peak.load(std::memory_order_relaxed), sum.live);
    sum.blocking_jobs = state.blocking.jobs();
    sum.stale_workers = state.stale_workers.load(std::memory_order_relaxed);
    sum.trimmed_stacks = state.stacks.trimmed();
    sum.stack_bytes = state.stacks.reserved();
    return sum;
}

std::string dump(Scheduler& scheduler) {
    struct Group {
        std::size_t count = 0;
        Seen* first = nullptr;
    };
    std::vector<Seen> all = look(scheduler);
    std::map<std::string, Group> groups;
    for (Seen& seen : all) {
        Group& group = groups[what_it_does(seen.info) + ", spawned at " + seen.info.spawned];
        if (group.count++ == 0) group.first = &seen;
    }
    std::vector<Seen*> firsts;
    for (const auto& [what, group] : groups) {
        if (group.first->info.state == TaskState::parked) firsts.push_back(group.first);
    }
    add_frames(firsts);
    const Functions functions(firsts);
    std::vector<std::pair<std::string, Group>> sorted(groups.begin(), groups.end());
    std::ranges::stable_sort(sorted, std::greater{}, [](const auto& entry) { return entry.second.count; });
    std::string text;
    for (const auto& [what, group] : sorted) {
        text += std::to_string(group.count) + (group.count == 1 ? " task " : " tasks ") + what +
                ", first id " + std::to_string(group.first->info.id) + '\n';
        for (void* const frame : group.first->info.frames) text += functions.line_of(frame);
    }
    return text;
}

}  // namespace sluice::runtime
