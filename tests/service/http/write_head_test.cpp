#include "service/http/write_head.h"

#include <gtest/gtest.h>

#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

UpstreamRequest untrusted() {
    return {.origin = "/x", .host = "up:1", .peer = "1.2.3.4", .proto = "https", .request_id = "id-1"};
}

UpstreamRequest trusted() {
    UpstreamRequest with = untrusted();
    with.trusted = true;
    return with;
}

std::string request(std::string_view bytes, const UpstreamRequest& with) {
    const auto read = test::read_request(bytes);
    EXPECT_EQ(read.status(), 0);
    std::array<char, 4096> room;
    return std::string(write_request_head(read.head, with, room));
}

std::string response(std::string_view bytes, const ClientResponse& with, Method method = Method::get) {
    const auto read = test::read_response(bytes, method);
    EXPECT_EQ(read.status(), 0);
    std::array<char, 4096> room;
    return std::string(write_response_head(read.head, with, room));
}

// From the fields given, behind the Host that it always has.
std::string forwarded(std::string_view lines, const UpstreamRequest& with = untrusted()) {
    return request("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n", with);
}

constexpr std::string_view kOurs =
    "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a\r\nX-Request-Id: id-1\r\n"
    "Via: 1.1 sluice\r\n";

std::string expected(std::string_view kept, std::string_view behind = "") {
    return "GET /x HTTP/1.1\r\nHost: up:1\r\n" + std::string(kept) + std::string(kOurs) +
           std::string(behind) + "\r\n";
}

TEST(WriteRequestHead, SaysWhatWasAskedAndWhoAsks) {
    EXPECT_EQ(forwarded("Accept: */*\r\nX-A:   b  \r\n"), expected("Accept: */*\r\nX-A: b\r\n"));
}

TEST(WriteRequestHead, Row65WhatAnUntrustedPeerSaysOfItselfIsReplaced) {
    EXPECT_EQ(forwarded("X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"
                        "X-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\nX_Forwarded_For: 6.6.6.6\r\n"
                        "X-Request-Id: forged\r\nX-Forwarded-For: 7.7.7.7\r\n"),
              expected(""));
}

TEST(WriteRequestHead, Row66ATrustedPeersChainIsJoinedInOrder) {
    EXPECT_EQ(
        forwarded("X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Request-Id: theirs\r\nX-Forwarded-For: 8.8.8.8\r\n"
                  "X-Forwarded-Proto: http\r\nX-Forwarded-Port: 81\r\nX_Forwarded_For: 9.9.9.9\r\n",
                  trusted()),
        "GET /x HTTP/1.1\r\nHost: up:1\r\nX-Request-Id: theirs\r\nX-Forwarded-Proto: http\r\n"
        "X-Forwarded-Port: 81\r\nX-Forwarded-For: 6.6.6.6, 7.7.7.7, 8.8.8.8, 1.2.3.4\r\nX-Forwarded-Host: "
        "a\r\n"
        "Via: 1.1 sluice\r\n\r\n");
}

TEST(WriteRequestHead, PeerWithoutAnAddressAddsNoneToTheChain) {
    UpstreamRequest with = trusted();
    with.peer = "";
    EXPECT_NE(forwarded("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For:\r\nX-Forwarded-For: 7.7.7.7\r\n", with)
                  .find("\r\nX-Forwarded-For: 6.6.6.6, 7.7.7.7\r\n"),
              std::string::npos);
    EXPECT_EQ(forwarded("", with).find("X-Forwarded-For"), std::string::npos);
    with.trusted = false;
    EXPECT_EQ(forwarded("X-Forwarded-For: 6.6.6.6\r\n", with).find("X-Forwarded-For"), std::string::npos);
}

TEST(WriteRequestHead, Row49WhatTheProxyAddsCannotBeNamedAway) {
    const std::string text = request(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, Host, Content-Length, Via, X-Request-Id, "
        "X-Hop\r\n"
        "Content-Length: 5\r\nVia: 1.0 before\r\nX-Hop: 1\r\n\r\n",
        untrusted());
    EXPECT_EQ(text, "POST /x HTTP/1.1\r\nHost: up:1\r\nVia: 1.0 before\r\n" + std::string(kOurs) +
                        "Content-Length: 5\r\n\r\n");
}

TEST(WriteRequestHead, Row49ATrustedChainCannotBeNamedAway) {
    const std::string text =
        forwarded("Connection: X-Forwarded-For\r\nX-Forwarded-For: 6.6.6.6\r\n", trusted());
    EXPECT_NE(text.find("X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n"), std::string::npos);
}

TEST(WriteRequestHead, Row51And52FieldsOfTheConnectionStayBehind) {
    EXPECT_EQ(
        forwarded("Connection: keep-alive, Upgrade, HTTP2-Settings\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n"
                  "HTTP2-Settings: AA\r\nProxy-Connection: x\r\nProxy-Authorization: y\r\nTE: gzip\r\n"),
        expected(""));
    EXPECT_EQ(forwarded("TE: gzip, trailers\r\n"), expected("", "TE: trailers\r\nConnection: TE\r\n"));
}

TEST(WriteRequestHead, TrailersAreAnnouncedOnlyWhereTheyCanCome) {
    EXPECT_EQ(forwarded("Trailer: X-Sum\r\n"), expected(""));
    EXPECT_NE(request("POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n",
                      untrusted())
                  .find("\r\nTrailer: X-Sum\r\n"),
              std::string::npos);
    const std::string_view answer = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_NE(response(answer, {.framing = Framing::chunked()}).find("Trailer"), std::string::npos);
    EXPECT_EQ(response(answer, {.framing = Framing::until_close(), .minor = 0}).find("Trailer"),
              std::string::npos);
}

TEST(WriteRequestHead, FramingIsWrittenAnew) {
    EXPECT_NE(request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\n", untrusted())
                  .find("\r\nContent-Length: 5\r\n"),
              std::string::npos);
    const std::string chunked =
        request("POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: CHUNKED\r\n\r\n", untrusted());
    EXPECT_NE(chunked.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
    EXPECT_EQ(chunked.find("CHUNKED"), std::string::npos);
}

TEST(WriteRequestHead, UpgradeAndExpectGoOnOnlyWhenAskedFor) {
    const std::string lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n";
    EXPECT_EQ(forwarded(lines), expected(""));
    UpstreamRequest with = untrusted();
    with.upgrade = with.expect = true;
    EXPECT_EQ(forwarded(lines, with),
              expected("", "Upgrade: websocket\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n"));
    EXPECT_EQ(forwarded("", with), expected(""));
}

TEST(WriteRequestHead, TargetIsAPathOrTheAsterisk) {
    const auto first_line = [](std::string_view origin) {
        UpstreamRequest with = untrusted();
        with.origin = origin;
        const std::string text = forwarded("", with);
        return text.substr(0, text.find("\r\n"));
    };
    EXPECT_EQ(first_line("/a?b"), "GET /a?b HTTP/1.1");
    EXPECT_EQ(first_line("?b"), "GET /?b HTTP/1.1");
    EXPECT_EQ(first_line(""), "GET / HTTP/1.1");
    EXPECT_EQ(first_line("*"), "GET * HTTP/1.1");
}

TEST(WriteRequestHead, Http10IsToldInVia) {
    const std::string text = request("GET / HTTP/1.0\r\n\r\n", untrusted());
    EXPECT_TRUE(text.starts_with("GET /x HTTP/1.1\r\nHost: up:1\r\n"));
    EXPECT_NE(text.find("Via: 1.0 sluice\r\n"), std::string::npos);
    EXPECT_EQ(text.find("X-Forwarded-Host"), std::string::npos);
}

TEST(WriteRequestHead, RoomThatIsTooSmallGivesNothing) {
    const auto read = test::read_request("POST /a HTTP/1.1\r\nHost: a\r\nA: b\r\nContent-Length: 12\r\n\r\n");
    std::array<char, 4096> room;
    const std::size_t size = write_request_head(read.head, untrusted(), room).size();
    ASSERT_GT(size, 0u);
    for (std::size_t n = 0; n < size; ++n)
        EXPECT_EQ(write_request_head(read.head, untrusted(), std::span(room).first(n)), "") << n;
    EXPECT_EQ(write_request_head(read.head, untrusted(), std::span(room).first(size)).size(), size);
}

TEST(WriteResponseHead, PassesTheAnswerOn) {
    EXPECT_EQ(
        response("HTTP/1.0 404 Not Here\r\nServer: x\r\nContent-Length: 007\r\nKeep-Alive: 1\r\n"
                 "Connection: X-Hop\r\nX-Hop: 1\r\n\r\n",
                 {.framing = Framing::of_length(7), .extra = "RateLimit: x\r\n", .date = "today"}),
        "HTTP/1.1 404 Not Here\r\nServer: x\r\nDate: today\r\nRateLimit: x\r\nContent-Length: 7\r\n\r\n");
}

TEST(WriteResponseHead, DateOfTheUpstreamStands) {
    EXPECT_EQ(
        response("HTTP/1.1 200 OK\r\nDate: then\r\n\r\n", {.framing = Framing::chunked(), .date = "now"}),
        "HTTP/1.1 200 OK\r\nDate: then\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(WriteResponseHead, DropsWhatItIsTold) {
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\nRateLimit: a\r\nX-RateLimit-Limit: 1\r\nContent-Length: 0\r\n\r\n",
                       {.framing = Framing::of_length(0), .drop = {FieldId::ratelimit}}),
              "HTTP/1.1 200 OK\r\nX-RateLimit-Limit: 1\r\nContent-Length: 0\r\n\r\n");
}

TEST(WriteResponseHead, FieldsAreTheSameHoweverTheyLay) {
    const std::string head =
        "HTTP/1.1 200 OK\r\nA: 1\r\nB:2\r\nC: 3 \r\nD:\t4\r\nKeep-Alive: x\r\nE: 5\r\nF: 6\r\n"
        "G:\r\nH: \r\nI:  7\r\nConnection: F\r\nJ: 8\r\n\r\n";
    EXPECT_EQ(response(head, {.framing = Framing::chunked()}),
              "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nG: \r\nH: \r\nI: 7\r\n"
              "J: 8\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(WriteResponseHead, UnderscoresAreTheUpstreamsOwnBusiness) {
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\nX_Request_Id: a\r\n\r\n", {.framing = Framing::chunked()}),
              "HTTP/1.1 200 OK\r\nX_Request_Id: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(WriteResponseHead, ConnectionIsToldWhereTheVersionDoesNot) {
    const auto tail = [](const ClientResponse& with) {
        const std::string text = response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", with);
        return text.substr(std::string_view("HTTP/1.1 200 OK\r\n").size());
    };
    EXPECT_EQ(tail({.framing = Framing::until_close(), .keep_alive = false}), "Connection: close\r\n\r\n");
    EXPECT_EQ(tail({.framing = Framing::of_length(0), .minor = 0}),
              "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(tail({.framing = Framing::of_length(0), .minor = 0, .keep_alive = false}),
              "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST(WriteResponseHead, Row58WhatIsNotSentIsStillAnnounced) {
    const std::string length = "Content-Length: 5\r\n\r\n";
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + length, {}, Method::head), "HTTP/1.1 200 OK\r\n" + length);
    EXPECT_EQ(response("HTTP/1.1 304 Not Modified\r\n" + length, {}),
              "HTTP/1.1 304 Not Modified\r\n" + length);
    EXPECT_EQ(response("HTTP/1.1 204 No Content\r\n" + length, {}), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(WriteResponseHead, Row57InterimHeadsHaveNoFraming) {
    EXPECT_EQ(
        response("HTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 5\r\n\r\n", {.keep_alive = false}),
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

TEST(WriteResponseHead, A101NamesItsProtocol) {
    EXPECT_EQ(
        response(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n",
            {}),
        "HTTP/1.1 101 Switching Protocols\r\nX: y\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
}

}  // namespace
}  // namespace sluice::http
