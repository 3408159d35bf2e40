#pragma once

#include <string>

#include "runtime/scheduler.h"

namespace sluice {

/// What SIGQUIT and GET /debug/tasks tell: the tasks in groups, as runtime::dump() has them, and below them
/// every task by itself, those of one kind together and who has waited longest first: `id 1026, parked in
/// read for 0.204 s, started at service/front.cpp:133`
std::string list_tasks(runtime::Scheduler& scheduler);

}  // namespace sluice
