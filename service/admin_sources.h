#pragma once

// What the admin listener is told about the running service: its figures, in the admin's own words.

#include <functional>
#include <string>
#include <vector>

#include "runtime/scheduler.h"
#include "service/admin/sources.h"
#include "service/limit/janitor.h"
#include "service/proxy/context.h"
#include "service/proxy/overload_guard.h"
#include "service/reload_record.h"

namespace sluice {

/// What may be looked at. All of it outlives the sources made of it.
struct Observed {
    runtime::Scheduler& scheduler;
    proxy::Context& context;
    const limit::Janitor& janitor;
    const proxy::OverloadGuard& guard;
    const ReloadRecord& reloads;
    runtime::Time started;
    const std::atomic<bool>& ready;
};

admin::Sources admin_sources(const Observed& service, std::function<admin::Reloaded()> reload);

}  // namespace sluice
