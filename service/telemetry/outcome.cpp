#include "service/telemetry/outcome.h"

#include <iterator>

namespace sluice::telemetry {

std::string_view name(Verdict verdict) noexcept {
    static constexpr std::string_view kNames[] = {"none", "allowed", "limited", "denied", "banned"};
    static_assert(std::size(kNames) == kVerdicts);
    return kNames[static_cast<std::size_t>(verdict)];
}

std::string_view name(UpstreamFailure failure) noexcept {
    static constexpr std::string_view kNames[] = {
        "none",          "connect", "connect_timeout", "tls",       "response_timeout",
        "stall_timeout", "reset",   "invalid",         "no_server", "busy"};
    static_assert(std::size(kNames) == kUpstreamFailures);
    return kNames[static_cast<std::size_t>(failure)];
}

}  // namespace sluice::telemetry
