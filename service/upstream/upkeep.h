#pragma once

// What goes on about servers while no request does: a task for each server with health checks, and one for
// each that is named by a host name. It follows the configuration: a server that stays keeps its tasks.

#include <memory>
#include <vector>

#include "runtime/mutex.h"
#include "service/telemetry/log.h"
#include "service/upstream/upstream.h"

namespace sluice::upstream {

class Upkeep {
  public:
    explicit Upkeep(telemetry::Log& log);
    /// REQUIRES: stopped, or never followed anything.
    ~Upkeep();

    /// These are the upstreams now. Servers that they do not name are retired, and their tasks have ended
    /// when it returns (parks, briefly); for new ones tasks are started. What it has no memory for, the next
    /// call does.
    void follow(const std::vector<std::shared_ptr<Upstream>>& upstreams);
    /// Ends all tasks (parks, briefly).
    void stop() { follow({}); }

  private:
    struct Care;

    void take(Care& care);

    telemetry::Log& log_;
    telemetry::Throttle not_made_{};  // of what is said about checks; any task
    runtime::Mutex lock_;
    std::vector<std::unique_ptr<Care>> cares_;  // guarded by lock_
};

}  // namespace sluice::upstream
