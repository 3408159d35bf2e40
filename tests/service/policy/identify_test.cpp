// Rows 65 to 67 of the project's table of HTTP behaviour: who the client is.

#include "service/policy/identify.h"

#include <vector>

#include <arpa/inet.h>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Lines = std::vector<std::string_view>;

const Networks kTrusted({{address("10.0.0.0"), 96 + 8}, {address("fd00::"), 8}});

Client client_of(std::string_view peer, const Lines& lines, const Networks& trusted = kTrusted) {
    http::Fields fields;
    for (const std::string_view line : lines) {
        fields.add({"Accept", "*/*", http::FieldId::other});
        fields.add({"X-Forwarded-For", line, http::FieldId::x_forwarded_for});
    }
    return identify(trusted, address(peer), fields);
}

std::string name(std::string_view peer, const Lines& lines) {
    return limit::to_string(client_of(peer, lines).address);
}

TEST(Identify, WithoutTrustedProxiesThePeerIsTheClient) {
    const Client client = client_of("192.0.2.1", {"198.51.100.1"}, Networks({}));
    EXPECT_EQ(limit::to_string(client.address), "192.0.2.1");
    EXPECT_FALSE(client.peer_trusted);
    EXPECT_TRUE(client.ignored_fields);
    EXPECT_FALSE(client_of("192.0.2.1", {}, Networks({})).ignored_fields);
}

TEST(Identify, FieldOfAnUntrustedPeerIsNotBelieved) {  // row 65
    const Client client = client_of("192.0.2.1", {"198.51.100.1", "10.0.0.1"});
    EXPECT_EQ(limit::to_string(client.address), "192.0.2.1");
    EXPECT_FALSE(client.peer_trusted);
    EXPECT_TRUE(client.ignored_fields);
}

TEST(Identify, RightmostAddressThatIsNotTrusted) {  // row 66
    EXPECT_EQ(name("10.0.0.1", {"198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"203.0.113.1, 198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"203.0.113.1, 198.51.100.1, 10.0.0.2,10.1.1.1"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"203.0.113.1", "198.51.100.1", "10.0.0.2 ,\t10.0.0.3"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"203.0.113.1 , 198.51.100.1", "fd00::1"}), "198.51.100.1");
    EXPECT_EQ(name("fd00::9", {"2001:db8::1"}), "2001:db8::1");
}

TEST(Identify, NothingButTrustedHopsLeavesTheFarthest) {
    EXPECT_EQ(name("10.0.0.1", {}), "10.0.0.1");
    EXPECT_EQ(name("10.0.0.1", {"10.0.0.2, 10.0.0.3"}), "10.0.0.2");
}

TEST(Identify, GarbageLeavesTheLastTrustedHop) {  // row 66
    for (const std::string_view garbage :
         {"unknown", "_hidden", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456",
          "[::1", "[::1]x", "[::1]:", "[1.2.3.4]", "::1%eth0", "\"1.2.3.4\"", "for=1.2.3.4",
          "1.2.3.4 1.2.3.4", "01.2.3.4", "1.2.3.4\x01"}) {
        EXPECT_EQ(name("10.0.0.1", {garbage}), "10.0.0.1") << garbage;
        EXPECT_EQ(name("10.0.0.1", {"198.51.100.1", std::string_view(garbage)}), "10.0.0.1") << garbage;
        const std::string before = std::string(garbage) + ", 10.0.0.2";
        EXPECT_EQ(name("10.0.0.1", {"198.51.100.1", before}), "10.0.0.2") << garbage;
        const std::string farther = std::string(garbage) + ", 198.51.100.1";
        EXPECT_EQ(name("10.0.0.1", {farther}), "198.51.100.1") << garbage;
    }
}

TEST(Identify, EmptyElementsAreNoHops) {
    EXPECT_EQ(name("10.0.0.1", {"198.51.100.1", ""}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"", "203.0.113.1,198.51.100.1, , 10.0.0.2,"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {" ", ",,"}), "10.0.0.1");
}

TEST(Identify, PortsAndBrackets) {
    EXPECT_EQ(name("10.0.0.1", {"198.51.100.1:4711"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"[2001:db8::1]"}), "2001:db8::1");
    EXPECT_EQ(name("10.0.0.1", {"[2001:db8::1]:4711"}), "2001:db8::1");
    EXPECT_EQ(name("10.0.0.1", {"2001:db8::1"}), "2001:db8::1");
}

TEST(Identify, MappedAddressIsTheIpv4One) {  // row 67
    EXPECT_EQ(name("10.0.0.1", {"::ffff:198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(name("10.0.0.1", {"[::FFFF:c633:6401]:80"}), "198.51.100.1");
    EXPECT_EQ(name("::ffff:10.0.0.1", {"198.51.100.1"}), "198.51.100.1");
}

TEST(Identify, ClientInsideOnePrefixIsOneKey) {  // row 67
    const auto key = [](std::string_view text) { return limit::ClientKey::of_address(address(text), {}); };
    EXPECT_EQ(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
    EXPECT_NE(key("2001:db8::1"), key("2001:db8:0:1::1"));
    EXPECT_EQ(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    EXPECT_NE(key("192.0.2.2"), key("192.0.2.1"));
}

TEST(Identify, PeersOfSockets) {
    const auto endpoint = [](const auto& raw) {
        runtime::Endpoint peer;
        std::memcpy(peer.data(), &raw, sizeof raw);
        peer.resize(sizeof raw);
        return peer;
    };
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    ASSERT_EQ(inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr), 1);
    EXPECT_EQ(address_of(endpoint(v4)), address("192.0.2.1"));
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    ASSERT_EQ(inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr), 1);
    EXPECT_EQ(address_of(endpoint(v6)), address("192.0.2.1"));
    sockaddr local{};
    local.sa_family = AF_UNIX;
    EXPECT_EQ(address_of(endpoint(local)), Address{});
}

}  // namespace
}  // namespace sluice::policy
