// A PROXY header however it comes: read in any pieces it is the same header, or the same refusal; it never
// claims more bytes than there are, nor more than it may have; and what is behind it changes nothing. Whom it
// is about is what another reader finds, who knows how a header is made and nothing of how it is refused.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>

#include <arpa/inet.h>

#include "service/http/proxy_header.h"

namespace {

using namespace sluice::http;

void require(bool holds) {
    if (!holds) std::abort();
}

bool same(const ProxyHeader& a, const ProxyHeader& b) {
    return a.size == b.size && a.source == b.source && a.address == b.address;
}

/// Of version 1: the word behind TCP4 or TCP6, which a line made anew of all words must give back.
void check_line(std::string_view header, const ProxyHeader& read) {
    std::istringstream words{std::string(header)};
    std::string proxy, protocol, source, destination, from, to;
    words >> proxy >> protocol >> source >> destination >> from >> to;
    require(proxy == "PROXY");
    if (read.source == ProxyHeader::Source::connection) return require(protocol == "UNKNOWN");
    require(header ==
            proxy + ' ' + protocol + ' ' + source + ' ' + destination + ' ' + from + ' ' + to + "\r\n");
    const std::string mapped = (protocol == "TCP4" ? "::ffff:" : "") + source;
    require(protocol == "TCP4" || protocol == "TCP6");
    std::array<std::uint8_t, 16> address{};
    require(::inet_pton(AF_INET6, mapped.c_str(), address.data()) == 1 && address == read.address);
}

/// Of version 2: what the bytes of the family and of the address say.
void check_binary(std::string_view header, const ProxyHeader& read) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(header[at]); };
    require(header.size() == 16U + byte(14) * 256U + byte(15));
    std::array<std::uint8_t, 16> address{};
    auto source = ProxyHeader::Source::connection;
    if (byte(12) == 0x21 && (byte(13) == 0x11 || byte(13) == 0x21)) {
        source = ProxyHeader::Source::address;
        if (byte(13) == 0x11) address[10] = address[11] = 0xff;
        for (std::size_t i = byte(13) == 0x11 ? 12 : 0, at = 16; i < 16; ++i, ++at) address[i] = byte(at);
    } else if (byte(12) == 0x21 && byte(13) == 0x31) {
        source = ProxyHeader::Source::unix_socket;
    }
    require(read.source == source && read.address == address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const auto all = read_proxy_header(input);
    const std::size_t end = all && all->size > 0 ? all->size : size;
    require(end <= size && (!all || all->size <= kProxyHeaderMax));
    if (all && all->size == 0) require(size < kProxyHeaderMax);
    for (std::size_t n = 0; n < std::min<std::size_t>(end, 256); ++n) {
        const auto part = read_proxy_header(input.substr(0, n));
        if (all) require(part && part->size == 0);  // no byte but the last completes it
        if (!part) require(!all);                   // a refusal is final
    }
    if (all && all->size > 0) {
        require(same(*all, *read_proxy_header(input.substr(0, end))));
        const std::string with_more = std::string(input.substr(0, end)) + "\r\nGET / HTTP/1.1";
        require(same(*all, *read_proxy_header(with_more)));
        const std::string_view header = input.substr(0, end);
        if (input.front() == 'P') {  // version 1 is a line
            require(end <= 107 && header.ends_with("\r\n"));
            check_line(header, *all);
        } else {
            check_binary(header, *all);
        }
        // Only an address is one, and not that of nobody.
        require((all->source == ProxyHeader::Source::address) == (all->address != ProxyHeader{}.address));
    }
    return 0;
}
