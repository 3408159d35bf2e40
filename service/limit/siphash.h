#pragma once

// SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") of three words. One round per word and
// three at the end, as hash tables of other languages use it: who does not know the key cannot make entries
// collide. 24 bytes always, so the length needs no padding of its own.

#include <array>
#include <bit>
#include <cstdint>

namespace sluice::limit {

inline std::uint64_t siphash_1_3(const std::array<std::uint64_t, 2>& key, std::uint64_t a, std::uint64_t b,
                                 std::uint64_t c) {
    std::uint64_t v0 = key[0] ^ 0x736f6d6570736575, v1 = key[1] ^ 0x646f72616e646f6d;
    std::uint64_t v2 = key[0] ^ 0x6c7967656e657261, v3 = key[1] ^ 0x7465646279746573;
    const auto round = [&] {
        v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
        v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
    };
    for (const std::uint64_t word : {a, b, c, std::uint64_t{24} << 56}) {
        v3 ^= word;
        round();
        v0 ^= word;
    }
    v2 ^= 0xff;
    round(), round(), round();
    return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace sluice::limit
