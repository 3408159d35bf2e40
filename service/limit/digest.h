#pragma once

// A keyed digest of text that must not be kept in clear: SipHash-2-4 with 128 bits of output (Aumasson,
// Bernstein). Parts are told apart by their lengths, so that ("ab", "c") is not ("a", "bc"). A value; costs
// some 50 ns for a short text.

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "service/limit/client_key.h"

namespace sluice::limit {

using DigestSecret = std::array<std::uint64_t, 2>;

class Digest {
  public:
    explicit Digest(const DigestSecret& secret)
        : v0_(secret[0] ^ 0x736f6d6570736575),
          v1_(secret[1] ^ 0x646f72616e646f6d ^ 0xee),
          v2_(secret[0] ^ 0x6c7967656e657261),
          v3_(secret[1] ^ 0x7465646279746573) {}

    void add(std::string_view part) {
        const std::size_t size = part.size();
        for (; part.size() >= 8; part.remove_prefix(8)) word(load(part.data(), 8));
        word(load(part.data(), part.size()));
        word(size);
    }

    /// The same for a part that `next()` yields byte by byte, until it is negative.
    template <class Next>
    void add_each(Next next) {
        std::uint64_t bytes = 0, size = 0;
        for (int byte = next(); byte >= 0; byte = next()) {
            bytes |= static_cast<std::uint64_t>(byte) << 8 * (size % 8);
            if (++size % 8 != 0) continue;
            word(bytes);
            bytes = 0;
        }
        word(bytes);
        word(size);
    }

    ClientKey finish() {
        v2_ ^= 0xee;
        for (int i = 0; i < 4; ++i) round();
        const std::uint64_t high = v0_ ^ v1_ ^ v2_ ^ v3_;
        v1_ ^= 0xdd;
        for (int i = 0; i < 4; ++i) round();
        return ClientKey::of_digest(high, v0_ ^ v1_ ^ v2_ ^ v3_);
    }

  private:
    static std::uint64_t load(const char* from, std::size_t bytes) {
        std::uint64_t value = 0;
        std::memcpy(&value, from, bytes);
        return value;
    }
    void word(std::uint64_t m) {
        v3_ ^= m;
        round();
        round();
        v0_ ^= m;
    }
    void round() {
        v0_ += v1_, v1_ = std::rotl(v1_, 13) ^ v0_, v0_ = std::rotl(v0_, 32);
        v2_ += v3_, v3_ = std::rotl(v3_, 16) ^ v2_;
        v0_ += v3_, v3_ = std::rotl(v3_, 21) ^ v0_;
        v2_ += v1_, v1_ = std::rotl(v1_, 17) ^ v2_, v2_ = std::rotl(v2_, 32);
    }

    std::uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace sluice::limit
