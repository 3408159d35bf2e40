#include "service/limit/client_key.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include <arpa/inet.h>

namespace sluice::limit {

namespace {

constexpr Address kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned kMappedBits = 96;

/// 64 bits of which the first `bits` are set, as they lie in memory.
std::uint64_t mask_of(unsigned bits) {
    const std::uint64_t mask = bits == 0 ? 0 : ~std::uint64_t{0} << (64 - std::min(bits, 64U));
    return std::endian::native == std::endian::little ? __builtin_bswap64(mask) : mask;
}

Address under_prefix(const Address& address, unsigned bits) {
    auto words = std::bit_cast<std::array<std::uint64_t, 2>>(address);
    words[0] &= mask_of(bits);
    words[1] &= mask_of(bits > 64 ? bits - 64 : 0);
    return std::bit_cast<Address>(words);
}

}  // namespace

bool is_ipv4(const Address& address) {
    return std::memcmp(address.data(), kMapped.data(), 12) == 0;
}

// IPv4 by hand: inet_ntop() prints it by way of sprintf(), in twenty times the time.
std::size_t to_chars(const Address& address, char* room) {
    if (!is_ipv4(address)) {
        inet_ntop(AF_INET6, address.data(), room, INET6_ADDRSTRLEN);
        return std::strlen(room);
    }
    char* at = room;
    for (std::size_t i = 12; i < 16; ++i) {
        if (i > 12) *at++ = '.';
        at = std::to_chars(at, at + 3, address[i]).ptr;
    }
    return static_cast<std::size_t>(at - room);
}

std::string to_string(const Address& address) {
    char room[INET6_ADDRSTRLEN];
    return std::string(room, to_chars(address, room));
}

bool parse_address(std::string_view text, Address& address) {
    char terminated[INET6_ADDRSTRLEN + 1];
    if (text.empty() || text.size() >= sizeof terminated || text.contains('\0')) return false;
    *std::copy(text.begin(), text.end(), terminated) = '\0';
    Address parsed = kMapped;
    if (inet_pton(AF_INET, terminated, parsed.data() + 12) != 1 &&
        inet_pton(AF_INET6, terminated, parsed.data()) != 1)
        return false;
    address = parsed;
    return true;
}

ClientKey ClientKey::of_address(const Address& address, Prefixes prefixes) {
    ClientKey key;
    key.bytes_ = under_prefix(address, is_ipv4(address) ? kMappedBits + prefixes.ipv4 : prefixes.ipv6);
    // Multicast is nobody's address; should it come nevertheless, it must not pass for a digest.
    if (key.bytes_[0] == 0xff) key.bytes_[0] = 0xfe;
    return key;
}

ClientKey ClientKey::of_digest(std::uint64_t high, std::uint64_t low) {
    ClientKey key;
    std::memcpy(key.bytes_.data(), &high, sizeof high);
    std::memcpy(key.bytes_.data() + 8, &low, sizeof low);
    key.bytes_[0] = 0xff;
    return key;
}

ClientKey ClientKey::of_unix_peers() {
    ClientKey key;
    constexpr std::string_view kBytes = "\xffunix:";  // within what is shown of a digest
    std::ranges::copy(kBytes, key.bytes_.begin());
    return key;
}

ClientKey ClientKey::shown() const {
    if (is_address()) return *this;
    ClientKey key = *this;
    std::fill(key.bytes_.begin() + 1 + kShownBytes, key.bytes_.end(), std::uint8_t{0});
    return key;
}

ClientKey ClientKey::block() const {
    if (!is_address()) return of_digest(~std::uint64_t{0}, ~std::uint64_t{0});
    return of_address(bytes_, {16, 32});
}

}  // namespace sluice::limit
