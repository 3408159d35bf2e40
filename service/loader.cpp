#include "service/loader.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sluice {

std::expected<std::shared_ptr<const proxy::Snapshot>, std::string> Loader::load(config::Config config) {
    auto snapshot = std::make_shared<proxy::Snapshot>();
    snapshot->config = std::move(config);
    try {
        snapshot->policy = std::make_unique<const policy::Policy>(snapshot->config, ledger_);
    } catch (const std::length_error& error) {
        return std::unexpected(std::string(error.what()));
    }
    for (const auto& settings : snapshot->config.upstreams) {
        snapshot->upstreams.push_back(upstream_for(settings));
    }
    for (const auto& former : upstreams_) {
        if (std::ranges::find(snapshot->upstreams, former) == snapshot->upstreams.end()) former->retire();
    }
    upstreams_ = snapshot->upstreams;
    return snapshot;
}

std::shared_ptr<upstream::Upstream> Loader::upstream_for(const config::Upstream& settings) const {
    for (const auto& known : upstreams_) {
        if (known->settings() == settings) return known;
    }
    return std::make_shared<upstream::Upstream>(settings.name, settings, workers_);
}

}  // namespace sluice
