#include "config/cidr.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <arpa/inet.h>

#include "config/quote.h"

namespace sluice::config {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
constexpr unsigned kMappedBits = 96;

bool is_mapped(const Bytes& address) {
    return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

std::optional<Bytes> address_of(const std::string& text, bool& four) {
    Bytes address{};
    four = ::inet_pton(AF_INET, text.c_str(), address.data() + kMapped.size()) == 1;
    if (four) {
        std::copy(kMapped.begin(), kMapped.end(), address.begin());
        return address;
    }
    if (::inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
    return std::nullopt;
}

// Zeroes what is below the prefix.
Bytes masked(Bytes address, unsigned bits) {
    for (unsigned i = 0; i < address.size(); ++i) {
        const unsigned kept = std::clamp(static_cast<int>(bits) - static_cast<int>(8 * i), 0, 8);
        address[i] &= static_cast<std::uint8_t>(0xFF00U >> kept);
    }
    return address;
}

std::optional<unsigned> bits_of(std::string_view digits, unsigned most) {
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || bits > most) return std::nullopt;
    return bits;
}

std::unexpected<std::string> no_block(std::string_view text, const std::string& why) {
    return std::unexpected(quote(text) + " is not an address block (" + why + ")");
}

}  // namespace

std::expected<Cidr, std::string> parse_cidr(std::string_view text) {
    const auto slash = text.find('/');
    bool four = false;
    const auto address = address_of(std::string(text.substr(0, slash)), four);
    if (!address) return no_block(text, "such as \"10.0.0.0/8\", \"2001:db8::/32\" or \"192.0.2.7\"");
    if (slash == std::string_view::npos) return Cidr{*address, 128};

    const auto bits = bits_of(text.substr(slash + 1), four ? 32 : 128);
    if (!bits) return no_block(text, std::string("the prefix length is 0 to ") + (four ? "32" : "128"));
    const Cidr block{masked(*address, *bits + (four ? kMappedBits : 0)),
                     static_cast<std::uint8_t>(*bits + (four ? kMappedBits : 0))};
    if (block.address != *address) {
        return no_block(text,
                        "bits are set below the prefix; did you mean " + quote(block.to_string()) + "?");
    }
    return block;
}

bool Cidr::contains(const Bytes& other) const {
    return masked(other, prefix_bits) == address;
}

std::string Cidr::to_string() const {
    const bool four = prefix_bits >= kMappedBits && is_mapped(address);
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(four ? AF_INET : AF_INET6, address.data() + (four ? kMapped.size() : 0), text.data(),
                text.size());
    const unsigned bits = prefix_bits - (four ? kMappedBits : 0);
    return std::string(text.data()) + "/" + std::to_string(bits);
}

}  // namespace sluice::config
