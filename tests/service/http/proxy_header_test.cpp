// Row 68 of tests/integration/conformance/README.md: the PROXY protocol, versions 1 and 2.

#include "service/http/proxy_header.h"

#include <string>

#include <gtest/gtest.h>

namespace sluice::http {
namespace {

using Source = ProxyHeader::Source;
using namespace std::string_literals;

constexpr std::string_view kBehind = "GET / HTTP/1.1\r\n\r\n";

std::string v2(unsigned char command, unsigned char family, const std::string& block) {
    return "\r\n\r\n\0\r\nQUIT\n"s + static_cast<char>(command) + static_cast<char>(family) +
           static_cast<char>(block.size() >> 8) + static_cast<char>(block.size()) + block;
}
const std::string kIpv4 = "\xc6\x33\x64\x01\x0a\x00\x00\x01\x12\x34\x00\x50"s;
const std::string kIpv6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01"s + std::string(20, '\0');

std::array<std::uint8_t, 16> mapped(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

/// Reads it as it would come byte by byte: no byte before the last decides, and what is behind
/// changes nothing.
ProxyHeader expect_whole(const std::string& header) {
    for (std::size_t n = 0; n < header.size(); ++n) {
        const std::string_view part = std::string_view(header).substr(0, n);
        const auto more = read_proxy_header(part);
        EXPECT_TRUE(more && more->size == 0) << n << " of " << header;
    }
    const auto read = read_proxy_header(header + std::string(kBehind));
    EXPECT_TRUE(read.has_value()) << header << ": " << (read ? "" : read.error());
    EXPECT_EQ(read.value_or(ProxyHeader{}).size, header.size()) << header;
    return read.value_or(ProxyHeader{});
}

TEST(ProxyHeaderV1, NamesTheSource) {
    const ProxyHeader four = expect_whole("PROXY TCP4 198.51.100.1 10.0.0.1 4711 80\r\n");
    EXPECT_EQ(four.source, Source::address);
    EXPECT_EQ(four.address, mapped(198, 51, 100, 1));
    const ProxyHeader six = expect_whole("PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n");
    EXPECT_EQ(six.source, Source::address);
    EXPECT_EQ(six.address[0], 0x20);
    EXPECT_EQ(six.address[15], 1);
    EXPECT_EQ(expect_whole("PROXY TCP6 ::ffff:198.51.100.1 ::1 1 1\r\n").address, mapped(198, 51, 100, 1));
}

TEST(ProxyHeaderV1, UnknownIsThePeerItself) {
    for (const std::string header :
         {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN \r\n", "PROXY UNKNOWN what ever 1\xff\r\n",
          "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          "65535 65535\r\n"})
        EXPECT_EQ(expect_whole(header).source, Source::connection);
}

TEST(ProxyHeaderV1, AnythingElseIsMalformed) {
    for (const std::string header : {"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY\tTCP4 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY UNKNOWNx\r\n",
                                     "PROXY unknown\r\n",
                                     "PROXY \r\n",
                                     "PROXY TCP4\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
                                     "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
                                     "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY TCP4 256.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY TCP4 ::1 ::1 1 2\r\n",
                                     "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
                                     "PROXY TCP6 ::1 1.1.1.1 1 2\r\n",
                                     "PROXY TCP6 ::1%lo ::1 1 2\r\n",
                                     "PROXY TCP6 :: ::1 1 2\r\n",  // would be nobody's
                                     "PROXY TCP6 [::1] ::1 1 2\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 99999999999\r\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
                                     "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n",
                                     "PROXY UNKNOWN \r x\r\n",
                                     "PROXY UNKNOWN \n\r\n",
                                     "GET / HTTP/1.1\r\n\r\n",
                                     "\n",
                                     "QUIT\r\n"})
        EXPECT_FALSE(read_proxy_header(header).has_value()) << header;
    const std::string nul = "PROXY TCP4 1.1.1.1"s + '\0' + " 2.2.2.2 1 2\r\n";
    EXPECT_FALSE(read_proxy_header(nul).has_value());
}

TEST(ProxyHeaderV1, IsAtMost107Bytes) {
    const auto unknown = [](std::size_t size) {
        return "PROXY UNKNOWN " + std::string(size - 16, 'x') + "\r\n";
    };
    expect_whole(unknown(107));
    EXPECT_FALSE(read_proxy_header(unknown(108)).has_value());
    EXPECT_FALSE(read_proxy_header(unknown(109)).has_value());
    EXPECT_TRUE(read_proxy_header("PROXY UNKNOWN " + std::string(92, 'x')).has_value());
    EXPECT_FALSE(read_proxy_header("PROXY UNKNOWN " + std::string(93, 'x')).has_value());
}

TEST(ProxyHeaderV2, NamesTheSource) {
    const ProxyHeader four = expect_whole(v2(0x21, 0x11, kIpv4));
    EXPECT_EQ(four.source, Source::address);
    EXPECT_EQ(four.address, mapped(198, 51, 100, 1));
    const ProxyHeader six = expect_whole(v2(0x21, 0x21, kIpv6));
    EXPECT_EQ(six.source, Source::address);
    EXPECT_EQ(six.address[0], 0x20);
    EXPECT_EQ(six.address[15], 1);
    EXPECT_EQ(expect_whole(v2(0x21, 0x31, std::string(216, 'p'))).source, Source::unix_socket);
}

TEST(ProxyHeaderV2, ExtensionsAreSkipped) {
    const std::string checksum = "\x03\x00\x04\xde\xad\xbe\xef"s;
    EXPECT_EQ(expect_whole(v2(0x21, 0x11, kIpv4 + checksum)).address, mapped(198, 51, 100, 1));
    EXPECT_EQ(expect_whole(v2(0x21, 0x11, kIpv4 + std::string(kProxyHeaderMax - 28, 'x'))).source,
              Source::address);
}

TEST(ProxyHeaderV2, LocalAndWhatIsNoHttpIsThePeerItself) {
    for (const std::string& header : {v2(0x20, 0x00, ""), v2(0x20, 0x11, kIpv4), v2(0x20, 0xff, "x"),
                                      v2(0x21, 0x00, ""), v2(0x21, 0x00, "xyz"), v2(0x21, 0x10, ""),
                                      v2(0x21, 0x01, ""), v2(0x21, 0x12, kIpv4), v2(0x21, 0x22, kIpv6)})
        EXPECT_EQ(expect_whole(header).source, Source::connection);
}

TEST(ProxyHeaderV2, AnythingElseIsMalformed) {
    for (const std::string& header :
         {v2(0x11, 0x11, kIpv4), v2(0x31, 0x11, kIpv4), v2(0x01, 0x11, kIpv4), v2(0x22, 0x11, kIpv4),
          v2(0x2f, 0x11, kIpv4), v2(0x21, 0x41, kIpv4), v2(0x21, 0x13, kIpv4), v2(0x21, 0xf1, kIpv4),
          v2(0x21, 0x11, kIpv4.substr(1)), v2(0x21, 0x11, ""), v2(0x21, 0x21, kIpv6.substr(1)),
          v2(0x21, 0x31, std::string(215, 'p')), v2(0x21, 0x21, std::string(16, '\0') + kIpv6.substr(16)),
          v2(0x21, 0x11, kIpv4 + std::string(kProxyHeaderMax - 27, 'x')),
          v2(0x20, 0, std::string(65535, 'x')), "\r\n\r\n\0\r\nQUIT\r"s, "\r\nGET / HTTP/1.1\r\n\r\n"s})
        EXPECT_FALSE(read_proxy_header(header).has_value());
}

}  // namespace
}  // namespace sluice::http
