#include <ostream>

#include <gtest/gtest.h>

#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

using namespace std::string_literals;

struct Case {
    const char* name;
    bool accepted;
    std::string bytes;
};

void PrintTo(const Case& c, std::ostream* to) {
    *to << testing::PrintToString(c.bytes);
}

std::string with(std::string_view lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n";
}
std::string line(std::string_view status_line) {
    return std::string(status_line) + "\r\nContent-Length: 0\r\n\r\n";
}

const Case kCases[] = {
    {"Plain", true, with("")},
    {"NoReason", true, line("HTTP/1.1 200 ")},
    {"NoReasonAndNoSpace", true, line("HTTP/1.1 200")},
    {"Http10", true, line("HTTP/1.0 200 OK")},
    {"Http13", true, line("HTTP/1.3 200 OK")},
    {"ReasonWithObsText", true, line("HTTP/1.1 404 caf\xe9")},
    {"Status599", true, line("HTTP/1.1 599 x")},
    {"Status999", true, line("HTTP/1.1 999 x")},
    {"StatusBelow100", false, line("HTTP/1.1 099 x")},
    {"StatusOfTwoDigits", false, line("HTTP/1.1 20 OK")},
    {"StatusOfFourDigits", false, line("HTTP/1.1 2000 OK")},
    {"StatusOfLetters", false, line("HTTP/1.1 abc OK")},
    {"TwoSpaces", false, line("HTTP/1.1  200 OK")},
    {"Http2", false, line("HTTP/2.0 200 OK")},
    {"LowerCaseVersion", false, line("http/1.1 200 OK")},
    {"ReasonWithNul", false, line("HTTP/1.1 200 O\0K"s)},
    {"ReasonWithBareCr", false, line("HTTP/1.1 200 O\rK")},
    {"BareLf", false, "HTTP/1.1 200 OK\nContent-Length: 0\n\n"},
    {"Fold", false, with("A: b\r\n c\r\n")},
    {"SpaceBehindName", false, with("Content-Length : 5\r\n")},
    {"Garbage", false, "\x15\x03\x01\x02\x02"},
    {"LengthTwice", false, with("Content-Length: 5\r\nContent-Length: 5\r\n")},
    {"LengthsThatDiffer", false, with("Content-Length: 5\r\nContent-Length: 6\r\n")},
    {"LengthList", false, with("Content-Length: 5, 5\r\n")},
    {"LengthNegative", false, with("Content-Length: -1\r\n")},
    {"LengthTooLarge", false, with("Content-Length: 18446744073709551616\r\n")},
    {"LengthAndChunked", false, with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
    {"ChunkedTwice", false, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
    {"OtherCoding", false, with("Transfer-Encoding: gzip\r\n")},
    {"ChunkedInHttp10", false, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
};

class ResponseHeadCases : public testing::TestWithParam<Case> {};

TEST_P(ResponseHeadCases, AreToldApart) {
    const Case& c = GetParam();
    const auto whole = test::read_response(c.bytes);
    EXPECT_EQ(whole.status() == 0, c.accepted) << (whole.refusal ? whole.refusal->reason : "accepted");
    EXPECT_EQ(whole.refusal.has_value(), !c.accepted);
    const auto bytewise = test::read_response(c.bytes, Method::get, 1);
    EXPECT_EQ(bytewise.refusal, whole.refusal);
    EXPECT_EQ(bytewise.size, whole.size);
}

INSTANTIATE_TEST_SUITE_P(Table, ResponseHeadCases, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

TEST(ResponseHead, IsReadInFull) {
    const auto read =
        test::read_response("HTTP/1.1 404 Not Here\r\nServer: x\r\nContent-Length: 2\r\n\r\nhi");
    ASSERT_EQ(read.status(), 0);
    EXPECT_EQ(read.head.status, 404);
    EXPECT_EQ(read.head.reason, "Not Here");
    EXPECT_EQ(read.head.minor, 1);
    EXPECT_EQ(read.head.framing, Framing::of_length(2));
    EXPECT_TRUE(read.head.has_length);
    EXPECT_TRUE(read.head.keep_alive);
    EXPECT_EQ(read.behind(), "hi");
}

TEST(ResponseHead, BodyIsFramedAsStatusMethodAndFieldsSay) {
    const auto framing = [](std::string_view status, std::string_view lines, Method method = Method::get) {
        const auto read = test::read_response(
            "HTTP/1.1 " + std::string(status) + "\r\n" + std::string(lines) + "\r\n", method);
        EXPECT_EQ(read.status(), 0);
        return read.head.framing;
    };
    EXPECT_EQ(framing("200 OK", "Content-Length: 5\r\n"), Framing::of_length(5));
    EXPECT_EQ(framing("200 OK", "Transfer-Encoding: chunked\r\n"), Framing::chunked());
    EXPECT_EQ(framing("200 OK", ""), Framing::until_close());
    // Row 58.
    EXPECT_EQ(framing("200 OK", "Content-Length: 5\r\n", Method::head), Framing::none());
    EXPECT_EQ(framing("200 OK", "Transfer-Encoding: chunked\r\n", Method::head), Framing::none());
    EXPECT_EQ(framing("204 No Content", "Content-Length: 5\r\n"), Framing::none());
    EXPECT_EQ(framing("304 Not Modified", "Content-Length: 5\r\n"), Framing::none());
    // Row 57.
    EXPECT_EQ(framing("100 Continue", ""), Framing::none());
    EXPECT_EQ(framing("103 Early Hints", "Content-Length: 5\r\n"), Framing::none());
    EXPECT_EQ(framing("101 Switching Protocols", ""), Framing::none());
}

TEST(ResponseHead, ThatIsTooLongIsNoMatterOfTheLimitsOfRequests) {
    std::string many;
    for (int i = 0; i < 300; ++i) many += "X: y\r\n";
    for (const std::string& fields : {"X: " + std::string(100'000, 'x') + "\r\n", many}) {
        const auto read = test::read_response(with(fields));
        ASSERT_TRUE(read.refusal);
        EXPECT_EQ(read.refusal->status, 502);
        EXPECT_EQ(read.refusal->reason.find("max."), std::string_view::npos) << read.refusal->reason;
    }
}

TEST(ResponseHead, KeepsAliveOnlyIfItsEndCanBeFound) {
    EXPECT_FALSE(test::read_response(with("")).head.keep_alive);
    EXPECT_TRUE(test::read_response(with("Content-Length: 0\r\n")).head.keep_alive);
    EXPECT_FALSE(test::read_response(with("Content-Length: 0\r\nConnection: close\r\n")).head.keep_alive);
    EXPECT_FALSE(test::read_response("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").head.keep_alive);
}

TEST(ResponseHead, LengthOfWhatIsNotSentIsKept) {
    const auto read = test::read_response(with("Content-Length: 5\r\n"), Method::head);
    EXPECT_TRUE(read.head.has_length);
    EXPECT_EQ(read.head.length, 5u);
}

TEST(ResponseHead, Row57InterimHeadsAreFollowedByAnother) {
    EXPECT_TRUE(test::read_response("HTTP/1.1 100 Continue\r\n\r\n").head.interim());
    EXPECT_TRUE(test::read_response("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n").head.interim());
    EXPECT_FALSE(test::read_response("HTTP/1.1 200 OK\r\n\r\n").head.interim());
}

TEST(ResponseHead, Row54A101NamesItsProtocol) {
    const auto read = test::read_response(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81");
    EXPECT_FALSE(read.head.interim());
    EXPECT_EQ(read.head.upgrade, "websocket");
    EXPECT_EQ(read.behind(), "\x81");
    EXPECT_EQ(test::read_response(with("Upgrade: websocket\r\n")).head.upgrade, "");
}

TEST(ResponseHead, Row50FieldsNamedByConnectionGoNoFurther) {
    const auto read = test::read_response(with("Connection: X-Hop\r\nX-HOP: 1\r\nX-Stay: 2\r\n"));
    EXPECT_TRUE(read.head.fields.find("x-hop")->hop);
    EXPECT_FALSE(read.head.fields.find("x-stay")->hop);
}

}  // namespace
}  // namespace sluice::http
