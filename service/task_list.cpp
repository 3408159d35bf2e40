#include "service/task_list.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <tuple>
#include <vector>

#include "runtime/inspect.h"

namespace sluice {

namespace {

using runtime::TaskInfo;
using runtime::TaskState;

std::string line_of(const TaskInfo& task, runtime::Time now) {
    std::array<char, 32> seconds;
    const auto waited = std::chrono::duration<double>(std::max(now - task.since, runtime::Duration::zero()));
    std::snprintf(seconds.data(), seconds.size(), "%.3f s", waited.count());
    std::string line = "id " + std::to_string(task.id) + ", " + what_it_does(task) + " for " +
                       seconds.data() + ", started at " + task.spawned;
    if (task.state == TaskState::parked) {
        std::array<char, 32> on;
        std::snprintf(on.data(), on.size(), ", on %p", task.waits_on);
        if (task.waits_on != nullptr) line += on.data();
        line += ", " + std::to_string(task.stack_bytes) + " bytes of stack";
    }
    return line + '\n';
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
