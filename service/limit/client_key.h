#pragma once

// Who a limit counts: 16 bytes, either an address under a prefix or a digest of something that must not be
// kept in clear (an API key, a cookie). Values.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::limit {

/// An address as 16 bytes; IPv4 as ::ffff:a.b.c.d, so that a client that comes by either is one client.
using Address = std::array<std::uint8_t, 16>;

bool is_ipv4(const Address& address);
/// The usual text: 192.0.2.1, 2001:db8::1.
std::string to_string(const Address& address);
/// The same into `room` (46 bytes do); returns the length.
std::size_t to_chars(const Address& address, char* room);
/// Any usual text of an address, without brackets, port or zone; false when it is none.
bool parse_address(std::string_view text, Address& address);

/// Which limit something belongs to. Stable over reloads for as long as name, key and algorithm are.
using LimitId = std::uint8_t;
inline constexpr std::size_t kLimitsMax = 250;

/// How many leading bits of an address tell clients apart.
struct Prefixes {
    std::uint8_t ipv4 = 32;
    std::uint8_t ipv6 = 64;
};

class ClientKey {
  public:
    ClientKey() = default;

    static ClientKey of_address(const Address& address, Prefixes prefixes);
    /// A 120-bit digest. Its first byte is 0xff, which no unicast address has.
    static ClientKey of_digest(std::uint64_t high, std::uint64_t low);
    /// The one key of a limit that does not tell clients apart.
    static ClientKey global() { return of_digest(0, 0); }

    /// Whoever came by a Unix socket, and so has no address: one key for all, outside of every prefix.
    static ClientKey of_unix_peers();

    bool is_address() const { return bytes_[0] != 0xff; }
    const Address& bytes() const { return bytes_; }
    std::uint64_t high() const { return word(0); }
    std::uint64_t low() const { return word(8); }

    /// What a listing shows of it: an address as it is, and of a digest the 64 bits behind its first byte.
    static constexpr std::size_t kShownBytes = 8;
    ClientKey shown() const;

    /// The block that keys share when the table is full: /16 of IPv4, /32 of IPv6, all digests together.
    ClientKey block() const;

    auto operator<=>(const ClientKey&) const = default;
    // Two words: the comparison of arrays would be a call to memcmp().
    bool operator==(const ClientKey& other) const { return high() == other.high() && low() == other.low(); }

  private:
    std::uint64_t word(std::size_t at) const {
        std::uint64_t value;
        std::memcpy(&value, bytes_.data() + at, sizeof value);
        return value;
    }
    Address bytes_{};
};

}  // namespace sluice::limit
