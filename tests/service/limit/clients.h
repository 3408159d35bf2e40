#pragma once

#include <cstdint>

#include "service/limit/client_key.h"
#include "service/limit/gcra.h"

namespace sluice::limit::test {

constexpr Nanos kSecond = 1'000'000'000;
constexpr Nanos kMinute = 60 * kSecond;
constexpr Nanos kNow = 1000 * kSecond;

/// The n-th IPv4 address from 10.0.0.0 on, as a key.
inline ClientKey client(std::uint32_t n) {
    Address address{};
    address[10] = address[11] = 0xff;
    n += 10U << 24;
    for (int i = 0; i < 4; ++i)
        address[static_cast<std::size_t>(15 - i)] = static_cast<std::uint8_t>(n >> 8 * i);
    return ClientKey::of_address(address, {});
}

}  // namespace sluice::limit::test
