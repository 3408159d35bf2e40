// What an accepted request is read as.

#include <gtest/gtest.h>

#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

TEST(RequestHead, IsReadInFull) {
    const auto read = test::read_request(
        "POST /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length: 3\r\nX-One:  two "
        "\t\r\n\r\nabcGET");
    ASSERT_EQ(read.status(), 0);
    const RequestHead& head = read.head;
    EXPECT_EQ(head.method, Method::post);
    EXPECT_EQ(head.method_text, "POST");
    EXPECT_EQ(head.target, "/a/b?c=d");
    EXPECT_EQ(head.origin, "/a/b?c=d");
    EXPECT_EQ(head.path, "/a/b");
    EXPECT_EQ(head.query, "c=d");
    EXPECT_EQ(head.authority, "example.com:8080");
    EXPECT_EQ(head.host, "example.com");
    EXPECT_EQ(head.minor, 1);
    EXPECT_EQ(head.framing, Framing::of_length(3));
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.expect_continue);
    EXPECT_TRUE(head.upgrade.empty());
    ASSERT_EQ(head.fields.size(), 3u);
    EXPECT_EQ(head.fields.find("x-ONE")->value, "two");
    EXPECT_EQ(head.fields.find("x-one"), head.fields.end() - 1);
    EXPECT_EQ(head.fields.find("absent"), nullptr);
    EXPECT_EQ(head.fields.value(FieldId::host), "example.com:8080");
    EXPECT_EQ(head.fields.value(FieldId::cookie), "");
    EXPECT_EQ(read.behind(), "abcGET");
}

TEST(RequestHead, NeedsAllOfItsBytes) {
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (std::size_t n = 1; n < bytes.size(); ++n)
        EXPECT_EQ(test::read_request(bytes.substr(0, n)).status(), -1) << n;
}

TEST(RequestHead, ScanTellsEmptyLinesFromTheHead) {
    HeadScan scan;
    EXPECT_FALSE(scan.begun());
    ASSERT_EQ(scan.find_end("\r\n", {}), 0u);
    EXPECT_FALSE(scan.begun());
    ASSERT_EQ(scan.find_end("\r\nG", {}), 0u);
    EXPECT_TRUE(scan.begun());
}

TEST(RequestHead, Row19LeadingZerosMeanNothing) {
    const auto read = test::read_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\n");
    EXPECT_EQ(read.head.framing, Framing::of_length(5));
}

TEST(RequestHead, Row20LongNameStaysWhole) {
    const std::string name = "Content-Length0" + std::string(700, 'a');
    const auto read = test::read_request("GET / HTTP/1.1\r\nHost: a\r\n" + name + ": 5\r\n\r\n");
    ASSERT_NE(read.head.fields.find(name), nullptr);
    EXPECT_EQ(read.head.framing, Framing::none());
}

TEST(RequestHead, Row27ObsTextStaysAsItIs) {
    const auto read = test::read_request("GET / HTTP/1.1\r\nHost: a\r\nA: caf\xe9 \xff\r\n\r\n");
    EXPECT_EQ(read.head.fields.find("a")->value, "caf\xe9 \xff");
}

TEST(RequestHead, Row34AuthorityOfTheTargetWins) {
    const auto read = test::read_request("GET HTTP://b:81?x=/y HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(read.status(), 0);
    EXPECT_EQ(read.head.authority, "b:81");
    EXPECT_EQ(read.head.host, "b");
    EXPECT_EQ(read.head.origin, "?x=/y");
    EXPECT_EQ(read.head.path, "/");
    EXPECT_EQ(read.head.query, "x=/y");
}

TEST(RequestHead, OptionsOfAWholeServerIsTheAsterisk) {
    const auto absolute = test::read_request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(absolute.head.origin, "*");
    EXPECT_EQ(absolute.head.authority, "b");
    const auto plain = test::read_request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(plain.head.path, "*");
}

TEST(RequestHead, Ipv6HostKeepsItsBrackets) {
    const auto read = test::read_request("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    EXPECT_EQ(read.head.host, "[::1]");
}

TEST(RequestHead, Row39VersionsAboveAreReadAs11) {
    const auto read = test::read_request("GET / HTTP/1.9\r\nHost: a\r\n\r\n");
    EXPECT_EQ(read.head.minor, 1);
    EXPECT_TRUE(read.head.keep_alive);
}

TEST(RequestHead, KeepsAliveAsVersionAndConnectionSay) {
    const auto keeps = [](std::string_view minor, std::string_view connection) {
        const auto read = test::read_request("GET / HTTP/1." + std::string(minor) + "\r\nHost: a\r\n" +
                                             std::string(connection) + "\r\n");
        EXPECT_EQ(read.status(), 0);
        return read.head.keep_alive;
    };
    EXPECT_TRUE(keeps("1", ""));
    EXPECT_FALSE(keeps("1", "Connection: x, CLOSE\r\n"));
    EXPECT_FALSE(keeps("1", "Connection: keep-alive\r\nConnection: close\r\n"));
    EXPECT_FALSE(keeps("0", ""));
    EXPECT_TRUE(keeps("0", "Connection: Keep-Alive\r\n"));
    EXPECT_FALSE(keeps("0", "Connection: keep-alive, close\r\n"));
    EXPECT_TRUE(keeps("1", "Proxy-Connection: close\r\n"));
}

TEST(RequestHead, Row56ContinueIsNotOfHttp10) {
    const std::string rest = "\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    EXPECT_TRUE(test::read_request("POST / HTTP/1.1" + rest).head.expect_continue);
    const auto old = test::read_request("POST / HTTP/1.0" + rest);
    EXPECT_EQ(old.status(), 0);
    EXPECT_FALSE(old.head.expect_continue);
}

TEST(RequestHead, Row51OfTeOnlyTrailersCounts) {
    const auto wants = [](std::string_view te) {
        return test::read_request("GET / HTTP/1.1\r\nHost: a\r\nTE: " + std::string(te) + "\r\n\r\n")
            .head.te_trailers;
    };
    EXPECT_TRUE(wants("trailers"));
    EXPECT_TRUE(wants("gzip;q=0.5, Trailers"));
    EXPECT_FALSE(wants("gzip"));
}

TEST(RequestHead, Row52UpgradeIsOneProtocolButNeverHttp2) {
    const auto wants = [](std::string_view protocol, std::string_view connection = "Upgrade",
                          std::string_view minor = "1") {
        const auto read = test::read_request("GET / HTTP/1." + std::string(minor) +
                                             "\r\nHost: a\r\nConnection: " + std::string(connection) +
                                             "\r\nUpgrade: " + std::string(protocol) + "\r\n\r\n");
        EXPECT_EQ(read.status(), 0);
        return std::string(read.head.upgrade);
    };
    EXPECT_EQ(wants("websocket"), "websocket");
    EXPECT_EQ(wants("chat/2"), "chat/2");
    EXPECT_EQ(wants("h2c"), "");
    EXPECT_EQ(wants("H2C"), "");
    EXPECT_EQ(wants("HTTP/2.0"), "");
    EXPECT_EQ(wants("websocket, h2c"), "");
    EXPECT_EQ(wants("web socket"), "");
    EXPECT_EQ(wants(""), "");
    EXPECT_EQ(wants("websocket", "keep-alive"), "");
    EXPECT_EQ(wants("websocket", "Upgrade", "0"), "");
}

TEST(RequestHead, DeclaredBodyBeyondTheLimitIsRefused) {
    const std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    EXPECT_EQ(test::read_request(bytes, {.body = 10}).status(), 413);
    EXPECT_EQ(test::read_request(bytes, {.body = 11}).status(), 0);
}

TEST(RequestHead, MethodsAreKnownByTheirExactNames) {
    const auto method = [](std::string_view text) {
        return test::read_request(std::string(text) + " / HTTP/1.1\r\nHost: a\r\n\r\n").head.method;
    };
    EXPECT_EQ(method("GET"), Method::get);
    EXPECT_EQ(method("HEAD"), Method::head);
    EXPECT_EQ(method("PUT"), Method::put);
    EXPECT_EQ(method("DELETE"), Method::delete_);
    EXPECT_EQ(method("OPTIONS"), Method::options);
    EXPECT_EQ(method("PATCH"), Method::patch);
    EXPECT_EQ(method("TRACE"), Method::trace);
    EXPECT_EQ(method("get"), Method::other);
    EXPECT_EQ(method("PROPFIND"), Method::other);
}

TEST(RequestHead, RefusalStillTellsWhatWasAsked) {
    const auto read = test::read_request("GET /secret HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    EXPECT_EQ(read.status(), 400);
    EXPECT_EQ(read.head.method_text, "GET");
    EXPECT_EQ(read.head.target, "/secret");
}

}  // namespace
}  // namespace sluice::http
