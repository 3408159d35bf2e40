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
    upstreams_ = snapshot->upstreams;
    return snapshot;
}

std::shared_ptr<upstream::Upstream> Loader::upstream_for(const config::Upstream& settings) const {
    const auto former = std::ranges::find(upstreams_, settings.name, &upstream::Upstream::name);
    if (former == upstreams_.end())
        return std::make_shared<upstream::Upstream>(settings.name, settings, workers_, log_);
    if ((*former)->settings() == settings) return *former;
    return std::make_shared<upstream::Upstream>(settings.name, settings, workers_, log_, former->get());
}

}  // namespace sluice
