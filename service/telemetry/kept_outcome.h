#pragma once

#include <memory>

#include "service/telemetry/outcome.h"

namespace sluice::telemetry {

/// A RequestOutcome with its own copy of every text, for what outlives the buffers of its request. A
/// resource: one allocation, of what the texts take.
class KeptOutcome {
  public:
    /// Texts longer than the access log shows are cut.
    explicit KeptOutcome(const RequestOutcome& outcome);

    /// The views hold as long as this does.
    RequestOutcome& outcome() { return outcome_; }

  private:
    RequestOutcome outcome_;
    std::unique_ptr<char[]> texts_;
};

}  // namespace sluice::telemetry
