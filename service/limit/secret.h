#pragma once

#include <array>
#include <cstdint>
#include <random>

namespace sluice::limit {

/// The key of a keyed hash, which nobody outside the process can know. `seed`: for a test that shall run the
/// same each time; 0: random.
inline std::array<std::uint64_t, 2> random_secret(std::uint64_t seed = 0) {
    if (seed != 0) return {seed, ~seed};
    std::random_device device;
    const auto word = [&] { return std::uint64_t{device()} << 32 | device(); };
    return {word(), word()};
}

}  // namespace sluice::limit
