#include "service/task_list.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <tuple>
#include <vector>

#include "runtime/inspect.h"

namespace sluice {

namespace {

using runtime::TaskInfo;
using runtime::TaskState;

std::string state_of(const TaskInfo& task) {
    switch (task.state) {
        case TaskState::free: return "free";
        case TaskState::runnable: return "runnable";
        case TaskState::running: return "running";
        case TaskState::parked: return "parked in " + std::string(name(task.wait_reason));
    }
    return "unknown";
}

// The compiler names files by the way to them, from where it ran or from the root of all; up to the sources
// it is that of this file.
std::string_view within_sources(std::string_view file) {
    constexpr std::string_view kThis = __FILE__;
    constexpr std::string_view kSources = kThis.substr(0, kThis.rfind("service/"));
    if (file.starts_with(kSources)) file.remove_prefix(kSources.size());
    return file;
}

std::string line_of(const TaskInfo& task, runtime::Time now) {
    std::array<char, 32> seconds;
    const auto waited = std::chrono::duration<double>(std::max(now - task.since, runtime::Duration::zero()));
    std::snprintf(seconds.data(), seconds.size(), "%.3f s", waited.count());
    return "id " + std::to_string(task.id) + ", " + state_of(task) + " for " + seconds.data() +
           ", started at " + std::string(within_sources(task.spawned)) + '\n';
}

}  // namespace

std::string list_tasks(runtime::Scheduler& scheduler) {
    std::string text = runtime::dump(scheduler) + '\n';
    std::vector<TaskInfo> tasks = runtime::tasks(scheduler);
    const auto kind = [](const TaskInfo& task) {
        return std::tie(task.state, task.wait_reason, task.spawned, task.since, task.id);
    };
    std::ranges::sort(tasks, {}, kind);
    const runtime::Time now = runtime::now();
    for (const TaskInfo& task : tasks) text += line_of(task, now);
    return text;
}

}  // namespace sluice
