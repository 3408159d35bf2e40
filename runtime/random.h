#pragma once

#include <cstdint>

namespace sluice::runtime {

// xorshift64: for the order of victims and for the seeded order, where nothing depends on its quality.
inline std::uint64_t next_random(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

}  // namespace sluice::runtime
