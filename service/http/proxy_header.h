#pragma once

// The header of the PROXY protocol, version 1 or 2 (HAProxy's doc/proxy-protocol.txt): what a load balancer
// that does not look into a connection sends before it, to say whose it is. Only read where it is expected:
// anybody could write one.

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <string_view>

namespace sluice::http {

struct ProxyHeader {
    enum class Source : std::uint8_t {
        connection,   // no other than the peer itself: LOCAL, UNKNOWN, or a protocol that HTTP is not spoken
                      // over
        address,      // `address`
        unix_socket,  // someone without an address
    };

    std::size_t size = 0;  // of the header in bytes; 0: more is needed
    Source source = Source::connection;
    std::array<std::uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
};

/// The longest header that is taken. A line of version 1 has 107 bytes at most (§2.1); one of version 2 could
/// announce 64 KiB of extensions, and carries a few hundred bytes of them.
inline constexpr std::size_t kProxyHeaderMax = 4096;

/// The header at the front of `bytes`, which are all that has come. The error says why it is none, as soon as
/// no continuation can mend it. Extensions (TLVs, the checksum among them) are skipped.
std::expected<ProxyHeader, std::string_view> read_proxy_header(std::string_view bytes);

}  // namespace sluice::http
