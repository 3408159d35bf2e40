#include "service/telemetry/kept_outcome.h"

#include <algorithm>

namespace sluice::telemetry {

namespace {

constexpr std::size_t kTextMax = 2048;

constexpr std::string_view RequestOutcome::* kTexts[] = {
    &RequestOutcome::limit,  &RequestOutcome::client,     &RequestOutcome::method,   &RequestOutcome::host,
    &RequestOutcome::target, &RequestOutcome::request_id, &RequestOutcome::upstream, &RequestOutcome::server,
};

}  // namespace

KeptOutcome::KeptOutcome(const RequestOutcome& outcome) : outcome_(outcome) {
    std::size_t size = 0;
    for (const auto text : kTexts) size += std::min((outcome.*text).size(), kTextMax);
    texts_ = std::make_unique_for_overwrite<char[]>(size);
    char* at = texts_.get();
    for (const auto text : kTexts) {
        const std::string_view from = (outcome.*text).substr(0, kTextMax);
        std::copy(from.begin(), from.end(), at);
        outcome_.*text = {at, from.size()};
        at += from.size();
    }
}

}  // namespace sluice::telemetry
