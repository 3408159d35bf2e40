#pragma once

// The only place that wires things together: the configuration in force, the listeners, the tables, the
// background tasks, the admin listener; what signals do to them (app.cpp), and how another configuration
// comes into force (reload.cpp).

#include <atomic>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "runtime/mutex.h"
#include "runtime/scheduler.h"
#include "runtime/semaphore.h"
#include "runtime/signals.h"
#include "runtime/wait_group.h"
#include "service/admin/server.h"
#include "service/admin/sources.h"
#include "service/check_listener.h"
#include "service/file_watch.h"
#include "service/front.h"
#include "service/limit/janitor.h"
#include "service/loader.h"
#include "service/proxy/cgroup_memory.h"
#include "service/proxy/context.h"
#include "service/proxy/overload_guard.h"
#include "service/proxy/registry.h"
#include "service/reload_record.h"
#include "service/upstream/upkeep.h"

namespace sluice {

class App {
  public:
    /// Throws std::runtime_error with what this process cannot do that the configuration asks for.
    App(runtime::Scheduler& scheduler, runtime::SignalSet& signals, std::string path,
        config::Environment environment, config::Config config);

    /// Serves until it has drained; throws what kept it from starting, like the constructor. Parks; called by
    /// the scheduler's first task.
    void run();

  private:
    // app.cpp
    std::optional<std::string> open();
    void start_background();
    template <class Body>
    void background(Body body);
    void stop_background();

    void handle_signals();
    void tell_tasks();
    void drain();

    // reload.cpp
    using Problems = std::vector<std::string>;  // one line each
    using Kept =
        std::vector<std::string>;  // settings that a reload does not change, and the file has otherwise
    std::expected<Kept, Problems> reload();
    std::expected<void, Problems> apply(config::Config loaded);
    void in_the_end(auto step);
    std::expected<Kept, Problems> reload_and_log(std::string_view why);

    // Fixed.
    runtime::Scheduler& scheduler_;
    runtime::SignalSet& signals_;
    const std::string path_;
    const config::Environment environment_;
    const runtime::Time started_ = runtime::now();

    telemetry::Telemetry telemetry_;
    Loader loader_;
    proxy::Snapshots snapshots_;
    proxy::Registry registry_;
    proxy::Context context_;
    limit::Janitor janitor_;
    upstream::Upkeep upkeep_;
    const proxy::CgroupMemory memory_;
    proxy::OverloadGuard guard_;
    Front front_;

    std::atomic<bool> ready_{false};
    ReloadRecord reloads_{std::chrono::system_clock::now()};
    admin::Sources sources_;
    std::optional<admin::Server> admin_;
    CheckListener check_;
    std::optional<FileWatch> watch_;

    runtime::Mutex reloading_;  // a reload
    runtime::Mutex applying_;   // the part of it in which things change
    runtime::Semaphore reload_asked_{0};
    std::atomic<bool> ending_{false};
    runtime::Semaphore stop_sweeping_{0};
    std::weak_ptr<void> telling_;  // alive while the tasks are being told
    runtime::WaitGroup background_;
    runtime::WaitGroup draining_;
};

}  // namespace sluice
