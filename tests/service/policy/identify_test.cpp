// Rows 65 to 67 of tests/integration/conformance/README.md: who the client is.

#include "service/policy/identify.h"

#include <vector>

#include <arpa/inet.h>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Lines = std::vector<std::string_view>;

const std::vector<config::Cidr> kTrusted = {{address("10.0.0.0"), 96 + 8}, {address("fd00::"), 8}};

Identifier identifier(std::string_view field = "X-Forwarded-For",
                      std::vector<config::Cidr> trusted = kTrusted) {
    config::Client settings{.trusted_proxies = std::move(trusted), .address_header = std::string(field)};
    if (field == "Forwarded") settings.address_from = config::AddressFrom::forwarded;
    if (!field.ends_with("orwarded") && !field.ends_with("-For"))
        settings.address_from = config::AddressFrom::header;
    return Identifier(settings);
}

http::Fields fields_of(std::string_view name, const Lines& lines) {
    http::Fields fields;
    for (const std::string_view line : lines) {
        fields.add({"Accept", "*/*", http::FieldId::other});
        fields.add({name, line, http::identify(name)});
    }
    return fields;
}

Client client_of(std::string_view peer, const Lines& lines,
                 const std::vector<config::Cidr>& trusted = kTrusted) {
    return identifier("X-Forwarded-For", trusted)
        .identify(address(peer), fields_of("X-Forwarded-For", lines));
}

std::string name(std::string_view peer, const Lines& lines) {
    return limit::to_string(client_of(peer, lines).address);
}

TEST(Identify, WithoutTrustedProxiesThePeerIsTheClient) {
    const Client client = client_of("192.0.2.1", {"198.51.100.1"}, {});
    EXPECT_EQ(limit::to_string(client.address), "192.0.2.1");
    EXPECT_FALSE(client.peer_trusted);
    EXPECT_TRUE(client.ignored_fields);
    EXPECT_FALSE(client_of("192.0.2.1", {}, {}).ignored_fields);
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

std::string by(std::string_view field, const Lines& lines, std::string_view peer = "10.0.0.1") {
    const Client client = identifier(field).identify(address(peer), fields_of(field, lines));
    return limit::to_string(client.address);
}
std::string forwarded(const Lines& lines) {
    return by("Forwarded", lines);
}

TEST(IdentifyByForwarded, RightmostAddressThatIsNotTrusted) {
    EXPECT_EQ(forwarded({"for=198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(forwarded({"for=203.0.113.1, for=198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(forwarded({"for=203.0.113.1;proto=http;by=10.0.0.7 ,\tFOR=198.51.100.1,for=10.9.9.9"}),
              "198.51.100.1");
    EXPECT_EQ(forwarded({"for=203.0.113.1", "proto=https;for=198.51.100.1;host=a", "for=10.0.0.2"}),
              "198.51.100.1");
    EXPECT_EQ(forwarded({"for=10.0.0.2, for=10.0.0.3"}), "10.0.0.2");
    EXPECT_EQ(forwarded({"for=198.51.100.1", ""}), "198.51.100.1");
    EXPECT_EQ(forwarded({}), "10.0.0.1");
}

TEST(IdentifyByForwarded, QuotesPortsAndBrackets) {  // RFC 7239 §4, §6
    for (const std::string_view node :
         {"for=\"198.51.100.1\"", "for=\"198.51.100.1:80\"", "For=\"198.51.100.1:_gazonk\"",
          "for=198.51.100.1:80", "for=\"198.51.\\100.1\"", "host=\"a, for=6.6.6.6\";for=198.51.100.1",
          "for=198.51.100.1;host=\"a\\\", for=6.6.6.6\"", "for=198.51.100.1;x=\"\\\\\"",
          "for=198.51.100.1; proto=http ;by=\"_x\"", ";;for=198.51.100.1;;", "for=\"[::ffff:198.51.100.1]\""})
        EXPECT_EQ(forwarded({node}), "198.51.100.1") << node;
    for (const std::string_view node :
         {"for=\"[2001:db8::1]\"", "for=\"[2001:db8::1]:4711\"", "for=[2001:db8::1]",
          "for=\"[2001:db8::1]:_x\"", "for=\"2001:db8::1\""})
        EXPECT_EQ(forwarded({node}), "2001:db8::1") << node;
}

TEST(IdentifyByForwarded, GarbageLeavesTheLastTrustedHop) {
    for (const std::string_view garbage : {"for=unknown",
                                           "for=_hidden",
                                           "for=\"_hidden:80\"",
                                           "for=\"unknown\"",
                                           "proto=https",
                                           "for",
                                           "for=",
                                           "=1.2.3.4",
                                           "for=1.2.3.4;for=1.2.3.4",
                                           "for=1.2.3.4 for=1.2.3.4",
                                           "for =1.2.3.4",
                                           "for= 1.2.3.4",
                                           "for=\"1.2.3.4",
                                           "for=1.2.3.4\"",
                                           "for=\"1.2.3.4\"x",
                                           "for=\"1.2.3.4\\\"",
                                           "for=256.1.1.1",
                                           "for=\"[::1\"",
                                           "for=\"1.2.3.4:\"",
                                           "for=\"1.2.3.4:_\"",
                                           "for=\"1.2.3.4:_a b\"",
                                           "1.2.3.4",
                                           "\"for=1.2.3.4\"",
                                           "f\xffr=1.2.3.4"}) {
        EXPECT_EQ(forwarded({garbage}), "10.0.0.1") << garbage;
        EXPECT_EQ(forwarded({"for=203.0.113.1", garbage}), "10.0.0.1") << garbage;
        EXPECT_EQ(forwarded({"for=203.0.113.1", garbage, "for=10.0.0.2"}), "10.0.0.2") << garbage;
        const std::string before = std::string(garbage) + ", for=198.51.100.1";
        EXPECT_EQ(forwarded({before}), "198.51.100.1") << garbage;
        const std::string quoted =
            std::string(garbage) + ", for=\"[2001:db8::1]:80\";proto=http, for=10.0.0.2";
        EXPECT_EQ(forwarded({quoted}), "2001:db8::1") << garbage;
    }
}

// What a client sends before it is appended to must not hide the address that was appended.
TEST(IdentifyByForwarded, QuoteLeftOpenDoesNotSwallowWhatIsBehind) {
    for (const std::string_view hostile :
         {"\"", "for=\"", "for=\"\\", "\\\"", "for=\"a\\\"", "a\"b\"c\"", "for=\"10.0.0.5"})
        EXPECT_EQ(forwarded({std::string(hostile) + ", for=\"198.51.100.1:4711\";host=\"a\""}),
                  "198.51.100.1")
            << hostile;
}

TEST(IdentifyByHeader, HoldsOneAddress) {
    EXPECT_EQ(by("CF-Connecting-IP", {"198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(by("X-Real-IP", {"2001:db8::1"}), "2001:db8::1");
    EXPECT_EQ(by("X-Client-IP", {"198.51.100.1:4711"}), "198.51.100.1");
    EXPECT_EQ(by("X-Real-IP", {"::ffff:198.51.100.1"}), "198.51.100.1");
    EXPECT_EQ(by("X-Real-IP", {"10.0.0.9"}), "10.0.0.9") << "a trusted address is one, too";
}

TEST(IdentifyByHeader, AnythingElseLeavesThePeer) {
    for (const Lines& lines :
         {Lines{}, Lines{""}, Lines{"198.51.100.1, 198.51.100.2"}, Lines{"unknown"},
          Lines{"198.51.100.1", "198.51.100.1"}, Lines{"198.51.100.1", ""}, Lines{"[::1"}})
        EXPECT_EQ(by("CF-Connecting-IP", lines), "10.0.0.1") << lines.size();
    EXPECT_EQ(by("CF-Connecting-IP", {"198.51.100.1"}, "192.0.2.1"), "192.0.2.1");
}

TEST(IdentifyByHeader, IgnoredFromAnyoneElse) {
    const Identifier by = identifier("CF-Connecting-IP");
    const Client client = by.identify(address("192.0.2.1"), fields_of("cf-connecting-ip", {"198.51.100.1"}));
    EXPECT_FALSE(client.peer_trusted);
    EXPECT_TRUE(client.ignored_fields);
    EXPECT_EQ(by.own_field(), "CF-Connecting-IP");
    EXPECT_EQ(identifier("X-Real-IP").own_field(), "") << "known to be a forwarding field";
    EXPECT_EQ(identifier("Forwarded").own_field(), "");
}

// Who holds the request of another is believed, whatever its own address is.
TEST(IdentifyFor, TheFieldOfTheConfigurationThenTheUsualOnes) {
    const auto about = [](std::string_view field,
                          std::initializer_list<std::pair<std::string_view, std::string_view>> lines) {
        http::Fields fields;
        for (const auto& [name, value] : lines) fields.add({name, value, http::identify(name)});
        const Client client = identifier(field).identify_for(address("192.0.2.1"), fields);
        EXPECT_TRUE(client.peer_trusted);
        return limit::to_string(client.address);
    };
    EXPECT_EQ(about("X-Forwarded-For", {{"X-Forwarded-For", "203.0.113.1, 198.51.100.1, 10.0.0.1"}}),
              "198.51.100.1");
    EXPECT_EQ(about("Forwarded", {{"X-Forwarded-For", "6.6.6.6"}, {"Forwarded", "for=198.51.100.1"}}),
              "198.51.100.1");
    EXPECT_EQ(about("Forwarded", {{"X-Forwarded-For", "198.51.100.1"}}), "198.51.100.1");
    EXPECT_EQ(about("Forwarded", {{"X-Forwarded-For", "198.51.100.1"}, {"Forwarded", "for=_x"}}),
              "192.0.2.1");
    EXPECT_EQ(about("CF-Connecting-IP", {{"X-Original-For", "198.51.100.1"}}), "198.51.100.1");
    EXPECT_EQ(about("X-Forwarded-For", {{"X-Real-IP", "198.51.100.1"}}), "198.51.100.1");
    EXPECT_EQ(about("X-Forwarded-For", {}), "192.0.2.1");
}

TEST(Identify, OtherFieldsThanTheOneAreNotRead) {
    const http::Fields list = fields_of("X-Forwarded-For", {"198.51.100.1"});
    for (const char* field : {"Forwarded", "CF-Connecting-IP"})
        EXPECT_EQ(identifier(field).identify(address("10.0.0.1"), list).address, address("10.0.0.1"))
            << field;
}

TEST(Identify, UnixPeerIsBelievedOnlyWhereTheConfigurationSaysSo) {
    const http::Fields fields = fields_of("X-Forwarded-For", {"198.51.100.1"});
    config::Client settings{.trusted_proxies = {{Address{}, 0}}};
    const Client stranger = Identifier(settings).identify(kNoAddress, fields);
    EXPECT_EQ(stranger.address, kNoAddress);
    EXPECT_TRUE(stranger.ignored_fields);
    settings = {.trusted_proxies = {}, .trust_unix = true};
    const Client proxied = Identifier(settings).identify(kNoAddress, fields);
    EXPECT_EQ(proxied.address, address("198.51.100.1"));
    EXPECT_TRUE(proxied.peer_trusted);
    EXPECT_FALSE(Identifier(settings).identify(address("127.0.0.1"), fields).peer_trusted);
}

// It stands for a peer on a Unix socket, which a field must not make of anybody.
TEST(Identify, NoFieldNamesTheAddressThatNobodyHas) {
    const Address proxy = address("10.0.0.1");
    for (const char* node : {"::", "[::]", "[::]:80", "0:0:0:0:0:0:0:0"}) {
        EXPECT_EQ(identifier("X-Forwarded-For").identify(proxy, fields_of("X-Forwarded-For", {node})).address,
                  proxy);
        EXPECT_EQ(identifier("X-Real-IP").identify(proxy, fields_of("X-Real-IP", {node})).address, proxy);
        const std::string quoted = "for=\"" + std::string(node) + "\"";
        EXPECT_EQ(identifier("Forwarded").identify(proxy, fields_of("Forwarded", {quoted.c_str()})).address,
                  proxy);
    }
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
    EXPECT_EQ(address_of(endpoint(local)), kNoAddress);
}

}  // namespace
}  // namespace sluice::policy
