#pragma once

// What every request needs and none owns. Made by the app, outlives every connection.

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "config/model.h"
#include "service/limit/waiting_room.h"
#include "service/policy/one_client.h"
#include "service/policy/policy.h"
#include "service/proxy/prepared_refusals.h"
#include "service/proxy/registry.h"
#include "service/telemetry/cell.h"
#include "service/telemetry/telemetry.h"
#include "service/upstream/upstream.h"

namespace sluice::proxy {

/// A configuration in force, compiled. Immutable: a request keeps the one that it began with.
struct Snapshot {
    config::Config config;
    std::unique_ptr<const policy::Policy> policy;
    std::vector<std::shared_ptr<upstream::Upstream>> upstreams;  // in the order of config.upstreams
};

/// The snapshot in force, exchanged by a reload.
class Snapshots {
  public:
    explicit Snapshots(std::shared_ptr<const Snapshot> first) : current_(std::move(first)) {}

    std::shared_ptr<const Snapshot> current() const {
        const std::scoped_lock hold(lock_);
        return current_;
    }
    /// Puts `next` in force. What was goes without the lock, if nobody has it any more.
    void replace(std::shared_ptr<const Snapshot> next) {
        const std::scoped_lock hold(lock_);
        version_.fetch_add(1, std::memory_order_release);
        current_.swap(next);
    }
    /// Makes `mine` the current one. Costs a load when it is that already: a connection keeps the one of its
    /// last request.
    void refresh(std::shared_ptr<const Snapshot>& mine, std::uint64_t& version) const {
        if (version == version_.load(std::memory_order_acquire)) return;
        const std::scoped_lock hold(lock_);
        version = version_.load(std::memory_order_relaxed);
        mine = current_;
    }

  private:
    mutable std::mutex lock_;  // std::atomic<std::shared_ptr> of libstdc++ 12 is not ThreadSanitizer-clean
    std::atomic<std::uint64_t> version_{1};
    std::shared_ptr<const Snapshot> current_;
};

struct Context {
    telemetry::Telemetry& telemetry;
    limit::ClientTable& clients;
    Snapshots& snapshots;
    Registry& registry;
    /// Of the requests that came through proxies. Each worker looks at what it serves itself.
    telemetry::PerWorker<policy::OneClient> one_client;
    telemetry::PerWorker<PreparedRefusals> refusals;

    limit::WaitingRoom waiting{};              // requests that a limit holds until their turn
    telemetry::Throttle forwarding_ignored{};  // warnings about fields that were not believed
    telemetry::Throttle one_client_found{};
    telemetry::Throttle bans_made{std::chrono::seconds(1)}, bans_expired{std::chrono::seconds(1)};
    telemetry::Throttle bans_without_room{};
    telemetry::Throttle not_introduced{};  // about connections without their PROXY header
    std::atomic<bool> draining{false};
    std::atomic<bool> overloaded{false};  // by the OverloadGuard: nothing new is taken
};

}  // namespace sluice::proxy
