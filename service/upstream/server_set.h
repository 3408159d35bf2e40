#pragma once

// Sets of an upstream's servers, and what is asked of one.

#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::upstream {

inline constexpr std::size_t kMaxServers = 64;

/// Bit i is server i of the upstream.
using ServerSet = std::uint64_t;

constexpr ServerSet set_of(std::size_t server) {
    return ServerSet{1} << server;
}
constexpr bool contains(ServerSet set, std::size_t server) {
    return (set >> server & 1) != 0;
}
/// The lowest of a set. REQUIRES: it is not empty.
constexpr std::size_t first_of(ServerSet set) {
    return static_cast<std::size_t>(std::countr_zero(set));
}

template <class Visit>
constexpr void each_of(ServerSet set, Visit visit) {
    for (; set != 0; set &= set - 1) visit(first_of(set));
}

}  // namespace sluice::upstream
