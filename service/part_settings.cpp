#include "service/part_settings.h"

#include <algorithm>
#include <string_view>

namespace sluice {

namespace {

constexpr std::string_view kReusePort = "listen.reuse_port";

}  // namespace

telemetry::Log::Options log_options(const config::Log& log) {
    return {.level = static_cast<telemetry::LogLevel>(log.level),
            .format = static_cast<telemetry::LogFormat>(log.format)};
}

telemetry::AccessLog::Options access_options(const config::Log& log) {
    return {.which = static_cast<telemetry::AccessLogged>(log.access),
            .format = static_cast<telemetry::LogFormat>(log.format)};
}

limit::Janitor::Settings janitor_settings(const config::Clients& clients) {
    return {.idle_after = clients.idle_after, .sweep_every = clients.sweep_every};
}

std::vector<std::string> files_of(const std::string& path, const config::Config& config) {
    std::vector<std::string> files{path};
    for (const config::Listen& listen : config.listen) {
        if (!listen.tls) continue;
        for (const std::string& file : {listen.tls->certificate, listen.tls->key, listen.tls->client_ca})
            if (!file.empty()) files.push_back(file);
    }
    for (const config::Upstream& upstream : config.upstreams)
        if (upstream.tls && !upstream.tls->ca.empty()) files.push_back(upstream.tls->ca);
    return files;
}

std::vector<std::string> keep_what_stays(const config::Config& now, config::Config& next) {
    std::vector<std::string> kept;
    if (next.admin.has_value() != now.admin.has_value()) {
        kept.push_back("admin");
        next.admin = now.admin;
    } else if (now.admin && next.admin->address != now.admin->address) {
        kept.push_back("admin.address");
        next.admin->address = now.admin->address;
    }
    if (next.runtime != now.runtime) {
        kept.push_back("runtime");
        next.runtime = now.runtime;
    }
    for (config::Listen& listen : next.listen) {
        const auto open = std::ranges::find(now.listen, listen.address, &config::Listen::address);
        if (open == now.listen.end() || open->reuse_port == listen.reuse_port) continue;
        if (std::ranges::find(kept, kReusePort) == kept.end()) kept.emplace_back(kReusePort);
        listen.reuse_port = open->reuse_port;
    }
    return kept;
}

}  // namespace sluice
