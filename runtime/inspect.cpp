#include "runtime/inspect.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string_view>

#include "runtime/scheduler_state.h"

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

}  // namespace

std::vector<TaskInfo> tasks(Scheduler& scheduler) {
    std::vector<TaskInfo> all;
    scheduler.state().stacks.each_task([&](const Task& task) {
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
        info.spawned = std::string(file) + ':' + std::to_string(task.line.load(std::memory_order_relaxed));
        all.push_back(std::move(info));
    });
    std::ranges::sort(all, {}, &TaskInfo::id);
    return all;
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
        std::uint64_t first = 0;
        Time since = kNever;
    };
    std::map<std::string, Group> groups;
    for (const TaskInfo& task : tasks(scheduler)) {
        std::string key(name(task.state));
        if (task.state == TaskState::parked) key.append(" in ").append(name(task.wait_reason));
        Group& group = groups[key + ", spawned at " + task.spawned];
        if (group.count++ == 0) group.first = task.id;
        group.since = std::min(group.since, task.since);
    }
    std::vector<std::pair<std::string, Group>> sorted(groups.begin(), groups.end());
    std::ranges::sort(sorted, std::greater{}, [](const auto& entry) { return entry.second.count; });
    std::string text;
    for (const auto& [what, group] : sorted) {
        text += std::to_string(group.count) + (group.count == 1 ? " task " : " tasks ") + what +
                ", first id " + std::to_string(group.first) + '\n';
    }
    return text;
}

}  // namespace sluice::runtime
