#pragma once

#include <cstdlib>

namespace sluice::fuzz {

// What must hold; else the fuzzer has a finding.
inline void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace sluice::fuzz
