#include "service/descriptors.h"

#include <cstdint>

#include <sys/resource.h>

namespace sluice {

namespace {

constexpr std::uint64_t kOurs = 64;  // beside those of connections

}  // namespace

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

void warn_of_few_descriptors(const config::Config& config, telemetry::Log& log) {
    std::uint64_t needed = kOurs + config.max.connections;
    for (const config::Upstream& upstream : config.upstreams) needed += upstream.max_connections;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
    log.warn("fewer descriptors (ulimit -n) than the configured connections may need",
             {{"descriptors", limit.rlim_cur}, {"needed", needed}, {"setting", "max.connections"}});
}

}  // namespace sluice
