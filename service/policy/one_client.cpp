#include "service/policy/one_client.h"

namespace sluice::policy {

std::optional<OneClient::Found> OneClient::next_window() {
    const Found last{suspect_, suspects_};
    suspect_ = favourite_;
    votes_ = suspects_ = seen_ = 0;
    if (last.requests < kNearlyAll) return std::nullopt;
    return last;
}

}  // namespace sluice::policy
