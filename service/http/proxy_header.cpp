#include "service/http/proxy_header.h"

#include <algorithm>

#include <arpa/inet.h>

#include "service/http/text.h"

namespace sluice::http {

namespace {

using Result = std::expected<ProxyHeader, std::string_view>;
using Source = ProxyHeader::Source;
using namespace std::string_view_literals;

constexpr std::string_view kLine = "PROXY "sv;
constexpr std::string_view kSignature = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kLineMax = 107;
constexpr std::size_t kFixed = 16;  // of version 2: signature, command, family, length

Result malformed(std::string_view why) {
    return std::unexpected(why);
}

/// Nobody connects from `::`; here it would stand for somebody without an address.
Result known(const ProxyHeader& header) {
    if (header.source == Source::address && header.address == ProxyHeader{}.address)
        return malformed("the PROXY header gives `::` for whom it is about");
    return header;
}

bool begins(std::string_view bytes, std::string_view with) {
    const std::size_t n = std::min(bytes.size(), with.size());
    return bytes.substr(0, n) == with.substr(0, n);
}

std::uint8_t byte_at(std::string_view bytes, std::size_t at) {
    return static_cast<std::uint8_t>(bytes[at]);
}

/// An address in its usual text. inet_pton() refuses leading zeros, as §2.1 does.
bool parse_address(std::string_view text, int family, std::array<std::uint8_t, 16>& address) {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.size() >= terminated.size() || text.contains('\0')) return false;
    std::ranges::copy(text, terminated.begin());
    address = {};
    if (family == AF_INET) address[10] = address[11] = 0xff;
    return ::inet_pton(family, terminated.data(), address.data() + (family == AF_INET ? 12 : 0)) == 1;
}

bool is_port(std::string_view text) {
    if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
    unsigned port = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535;
}

/// `TCP4 SOURCE DESTINATION PORT PORT`, or `UNKNOWN` and anything.
Result read_line(std::string_view line, std::size_t size) {
    ProxyHeader header{.size = size};
    if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return header;
    std::array<std::string_view, 5> parts;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::size_t space = line.find(' ');
        if ((space == std::string_view::npos) != (i + 1 == parts.size()))
            return malformed("the PROXY line has not the parts that it must have");
        parts[i] = line.substr(0, space);
        line.remove_prefix(i + 1 == parts.size() ? line.size() : space + 1);
    }
    const bool four = parts[0] == "TCP4";
    if (!four && parts[0] != "TCP6") return malformed("the PROXY line names no protocol that there is");
    const int family = four ? AF_INET : AF_INET6;
    std::array<std::uint8_t, 16> destination;
    if (!parse_address(parts[1], family, header.address) || !parse_address(parts[2], family, destination))
        return malformed("the PROXY line holds a malformed address");
    if (!is_port(parts[3]) || !is_port(parts[4])) return malformed("the PROXY line holds a malformed port");
    header.source = Source::address;
    return known(header);
}

Result read_version_1(std::string_view bytes) {
    if (!begins(bytes, kLine)) return malformed("there is no PROXY header");
    const std::string_view window = bytes.substr(0, kLineMax);
    const std::size_t end = window.find_first_of("\r\n");
    const bool ends = end != std::string_view::npos;
    const bool whole = ends && end + 1 < window.size();
    if (ends && (window[end] == '\n' || (whole && window[end + 1] != '\n')))
        return malformed("the PROXY line does not end in CR LF");
    if (!whole) return window.size() < kLineMax ? Result() : malformed("the PROXY line is too long");
    return read_line(window.substr(kLine.size(), end - kLine.size()), end + 2);
}

Result read_version_2(std::string_view bytes) {
    if (!begins(bytes, kSignature)) return malformed("there is no PROXY header");
    if (bytes.size() <= kSignature.size()) return {};
    const std::uint8_t command = byte_at(bytes, 12);
    if (command >> 4 != 2) return malformed("the PROXY header is of another version than 1 and 2");
    if ((command & 15) > 1) return malformed("the PROXY header gives a command that there is not");
    if (bytes.size() < kFixed) return {};
    const std::size_t length = std::size_t{byte_at(bytes, 14)} << 8 | byte_at(bytes, 15);
    if (kFixed + length > kProxyHeaderMax) return malformed("the PROXY header is too long");

    ProxyHeader header;
    const bool local = (command & 15) == 0;
    const unsigned family = byte_at(bytes, 13) >> 4, protocol = byte_at(bytes, 13) & 15;
    if (!local) {
        if (family > 3 || protocol > 2) return malformed("the PROXY header names no protocol that there is");
        constexpr std::array<std::size_t, 4> kAddresses{0, 12, 36, 216};
        if (protocol != 0 && length < kAddresses[family])
            return malformed("the PROXY header is too short for its addresses");
    }
    if (bytes.size() < kFixed + length) return {};
    header.size = kFixed + length;
    if (local || protocol != 1) return header;
    const auto* address = reinterpret_cast<const std::uint8_t*>(bytes.data()) + kFixed;
    switch (family) {
        case 1:
            header.address[10] = header.address[11] = 0xff;
            std::copy_n(address, 4, header.address.begin() + 12);
            header.source = Source::address;
            break;
        case 2:
            std::copy_n(address, 16, header.address.begin());
            header.source = Source::address;
            break;
        case 3: header.source = Source::unix_socket; break;
        default: break;
    }
    return known(header);
}

}  // namespace

Result read_proxy_header(std::string_view bytes) {
    if (bytes.empty()) return {};
    return bytes.front() == kSignature.front() ? read_version_2(bytes) : read_version_1(bytes);
}

}  // namespace sluice::http
