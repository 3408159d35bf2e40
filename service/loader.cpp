#include "service/loader.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "runtime/blocking.h"
#include "runtime/this_task.h"
#include "service/limit/nanos.h"
#include "service/policy/policy.h"
#include "service/tls/connector.h"

namespace sluice {

std::expected<std::shared_ptr<const proxy::Snapshot>, std::string> Loader::load(config::Config config) {
    auto snapshot = std::make_shared<proxy::Snapshot>();
    snapshot->config = std::move(config);
    std::unique_ptr<policy::Policy> policy;
    try {
        // Elsewhere: patterns are compiled, and perhaps the table of clients is walked.
        policy =
            runtime::blocking([&] { return std::make_unique<policy::Policy>(snapshot->config, ledger_); });
    } catch (const std::length_error& error) {
        return std::unexpected(std::string(error.what()));
    }
    for (const auto& settings : snapshot->config.upstreams) {
        auto upstream = upstream_for(settings);
        if (!upstream) return std::unexpected("upstream " + settings.name + ": " + upstream.error());
        snapshot->upstreams.push_back(std::move(*upstream));
    }
    upstreams_ = snapshot->upstreams;
    // What follows does not fail.
    for (const auto& upstream : upstreams_) upstream->come_into_force();
    policy->come_into_force(ledger_.table, limit::nanos(runtime::now()));
    snapshot->policy = std::move(policy);
    return snapshot;
}

void Loader::carry_over() {
    for (std::optional<std::size_t> at = 0; at;) {
        at = ledger_.table.carry_over(*at, limit::nanos(runtime::now()));
        if (at) runtime::this_task::yield();
    }
}

namespace {

// Null where the servers are spoken to in the clear.
using ConnectorPtr = std::shared_ptr<const tls::Connector>;

std::expected<ConnectorPtr, std::string> connector_for(const config::Upstream& settings) {
    if (!settings.tls) return ConnectorPtr();
    const tls::Connector::Settings wanted{settings.tls->verify, settings.tls->ca, settings.tls->server_name};
    return runtime::blocking([&] { return tls::Connector::make(wanted); });
}

}  // namespace

std::expected<std::shared_ptr<upstream::Upstream>, std::string> Loader::upstream_for(
    const config::Upstream& settings) const {
    auto connector = connector_for(settings);
    if (!connector) return std::unexpected(std::move(connector.error()));
    const auto known = std::ranges::find(upstreams_, settings.name, &upstream::Upstream::name);
    const upstream::Upstream* const former = known != upstreams_.end() ? known->get() : nullptr;
    if (former != nullptr && former->settings() == settings &&
        tls::same(former->connector(), connector->get())) {
        return *known;
    }
    return std::make_shared<upstream::Upstream>(settings.name, settings, workers_, log_, former,
                                                std::move(*connector));
}

}  // namespace sluice
