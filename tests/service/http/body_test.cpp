#include "service/http/body.h"

#include <ostream>

#include <gtest/gtest.h>

#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

using namespace std::string_literals;

constexpr std::size_t kSteps[] = {1, 2, 3, 5, 7, 64};

struct Case {
    const char* name;
    int status;  // 0: complete; -1: more is needed
    std::string bytes;
    std::string data;
};

void PrintTo(const Case& c, std::ostream* to) {
    *to << testing::PrintToString(c.bytes);
}

std::string sized(std::string_view size_line) {
    return std::string(size_line) + "hello\r\n0\r\n\r\n";
}

const Case kCases[] = {
    {"Plain", 0, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
    {"Empty", 0, "0\r\n\r\n", ""},
    {"HexInBothCases", 0, "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"},
    {"LeadingZeros", 0, "0005\r\nhello\r\n000\r\n\r\n", "hello"},
    {"DataThatLookLikeFraming", 0, "7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "0\r\n\r\n0\r"},
    {"Unfinished", -1, "5\r\nhello\r\n0\r\n", "hello"},
    {"Row41_Prefix", 400, sized("0x5\r\n"), ""},
    {"Row41_Plus", 400, sized("+5\r\n"), ""},
    {"Row41_Minus", 400, sized("-0\r\n"), ""},
    {"Row41_Underscore", 400, sized("5_\r\n"), ""},
    {"Row41_SpaceBefore", 400, sized(" 5\r\n"), ""},
    {"Row41_SpaceBehind", 400, sized("5 \r\n"), ""},
    {"Row41_TabBehind", 400, sized("5\t\r\n"), ""},
    {"Row41_Nothing", 400, sized("\r\n"), ""},
    {"Row41_NothingButExtension", 400, sized(";a\r\n"), ""},
    {"Row41_HighByte", 400, sized("5\xff\r\n"), ""},
    {"Row42_SeventeenDigits", 400, sized("00000000000000005\r\n"), ""},
    {"Row42_Overflow", 400, sized("10000000000000005\r\n"), ""},
    {"Row42_SixteenDigits", 0, sized("0000000000000005\r\n"), "hello"},
    {"Row43_BareLf", 400, sized("5\n"), ""},
    {"Row43_BareCr", 400, sized("5\r"), ""},
    {"Row43_CrCrLf", 400, sized("5\r\r\n"), ""},
    {"Row43_LfBehindExtension", 400, sized("5;a\n"), ""},
    {"Row43_LastChunkByLf", 400, "0\n\n", ""},
    {"Row43_EndByLf", 400, "0\r\n\n", ""},
    {"Row44_Extension", 0, sized("5;a=b;c=\"d;e\"\r\n"), "hello"},
    {"Row44_BlanksBeforeExtension", 0, sized("5 \t;a\r\n"), "hello"},
    {"Row44_BlanksAroundExtension", 0, sized("5 ; a = b ;c\r\n"), "hello"},
    {"Row44_BlanksBeforeSomethingElse", 400, sized("5 6;a\r\n"), ""},
    {"Row44_BlanksBeforeLf", 400, sized("5 \n"), ""},
    {"Row44_ExtensionOfLastChunk", 0, "5\r\nhello\r\n0;a=b\r\n\r\n", "hello"},
    {"Row44_LfInExtension", 400, sized("5;a=\"\n\"\r\n"), ""},
    {"Row44_NulInExtension", 400, sized("5;a=\"\0\"\r\n"s), ""},
    {"Row44_DeleteInExtension", 400, sized("5;a\x7f\r\n"), ""},
    {"Row44_BareCrInExtension", 400, sized("5;a\rb\r\n"), ""},
    {"Row45_NoCrLfBehindData", 400, "5\r\nhelloX\r\n0\r\n\r\n", ""},
    {"Row45_LfBehindData", 400, "5\r\nhello\n0\r\n\r\n", ""},
    {"Row45_CrBehindData", 400, "5\r\nhello\r0\r\n\r\n", ""},
    {"Row48_FoldedTrailer", 400, "0\r\nA: b\r\n c\r\n\r\n", ""},
    {"Row48_SpaceBeforeColon", 400, "0\r\nContent-Length : 5\r\n\r\n", ""},
    {"Row48_NoColon", 400, "0\r\nabc\r\n\r\n", ""},
    {"Row48_NulInTrailer", 400, "0\r\nA: \0\r\n\r\n"s, ""},
    {"Row48_TrailerByLf", 400, "0\r\nA: b\n\r\n", ""},
};

class ChunkedRows : public testing::TestWithParam<Case> {};

TEST_P(ChunkedRows, AreReadAsTheTableSays) {
    const Case& c = GetParam();
    const auto whole = test::read_body(Framing::chunked(), c.bytes);
    EXPECT_EQ(whole.status(), c.status) << (whole.refusal ? whole.refusal->reason : "accepted");
    const bool refused = c.status > 0;
    if (!refused) {
        EXPECT_EQ(whole.data, c.data);
    }
    for (const std::size_t step : kSteps) {
        const auto stepwise = test::read_body(Framing::chunked(), c.bytes, {}, step);
        EXPECT_EQ(stepwise.refusal, whole.refusal);
        if (!refused) {
            EXPECT_EQ(stepwise, whole) << step;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Table, ChunkedRows, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

TEST(BodyReader, ManySmallChunksGoOnAsOnePiece) {
    std::string bytes = "1\r\na\r\n2;x\r\nbc\r\n1\r\nd\r\n0\r\n\r\nGET";
    BodyReader body(Framing::chunked());
    const auto piece = body.feed(bytes);
    ASSERT_TRUE(piece);
    EXPECT_EQ(std::string_view(piece->data.data(), piece->data.size()), "abcd");
    EXPECT_EQ(piece->consumed, bytes.size() - 3);
    EXPECT_TRUE(piece->done);
    EXPECT_EQ(body.bytes(), 4u);
}

TEST(BodyReader, OneChunkIsNotMoved) {
    std::string bytes = "5\r\nhello";
    BodyReader body(Framing::chunked());
    EXPECT_EQ(body.feed(bytes)->data.data(), bytes.data() + 3);
}

TEST(BodyReader, ALengthIsCountedAndWhatFollowsIsLeft) {
    std::string bytes = "helloGET";
    BodyReader body(Framing::of_length(5));
    const auto piece = body.feed(bytes);
    EXPECT_EQ(piece->data.data(), bytes.data());
    EXPECT_EQ(piece->data.size(), 5u);
    EXPECT_EQ(piece->consumed, 5u);
    EXPECT_TRUE(piece->done);
}

TEST(BodyReader, NothingIsDoneAtOnce) {
    EXPECT_TRUE(BodyReader(Framing::none()).done());
    EXPECT_TRUE(BodyReader(Framing::of_length(0)).done());
    EXPECT_FALSE(BodyReader(Framing::chunked()).done());
    EXPECT_FALSE(BodyReader(Framing::until_close()).done());
}

TEST(BodyReader, OnlyABodyWithoutEndMayBeEndedByTheConnection) {
    EXPECT_TRUE(BodyReader(Framing::until_close()).may_end());
    EXPECT_TRUE(BodyReader(Framing::none()).may_end());
    EXPECT_FALSE(BodyReader(Framing::of_length(1)).may_end());
    EXPECT_FALSE(BodyReader(Framing::chunked()).may_end());
    std::string bytes = "hello";
    BodyReader body(Framing::until_close());
    EXPECT_EQ(body.feed(bytes)->data.size(), 5u);
    EXPECT_FALSE(body.done());
    EXPECT_TRUE(body.may_end());
}

TEST(BodyReader, DataBeyondTheLimitAreRefused) {
    const BodyLimits limits{.bytes = 8};
    EXPECT_EQ(test::read_body(Framing::chunked(), "8\r\n01234567\r\n0\r\n\r\n", limits).status(), 0);
    EXPECT_EQ(test::read_body(Framing::chunked(), "8\r\n01234567\r\n1\r\n", limits).status(), 413);
    EXPECT_EQ(test::read_body(Framing::chunked(), "9\r\n", limits).status(), 413);
    EXPECT_EQ(test::read_body(Framing::chunked(), "1\r\na\r\nffffffffffffffff\r\n").status(), 413);
    EXPECT_EQ(test::read_body(Framing::of_length(9), "012345678", limits).status(), 413);
    EXPECT_EQ(test::read_body(Framing::until_close(), "012345678", limits).status(), 413);
}

TEST(BodyReader, Row46ExtensionsAreBoundedInSum) {
    const std::string chunk = "1;" + std::string(1000, 'x') + "\r\na\r\n";
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += chunk;
    EXPECT_EQ(test::read_body(Framing::chunked(), bytes + "0\r\n\r\n").status(), 0);
    EXPECT_EQ(test::read_body(Framing::chunked(), bytes + chunk).status(), 400);
    EXPECT_EQ(test::read_body(Framing::chunked(), bytes + chunk, {}, 1).status(), 400);
    EXPECT_EQ(test::read_body(Framing::chunked(), "1" + std::string(5000, ' ') + ";\r\na\r\n").status(), 400);
}

TEST(BodyReader, Row47TrailersAreBounded) {
    std::string lines = "0\r\n";
    while (lines.size() < 500) lines += "A: b\r\n";
    EXPECT_EQ(test::read_body(Framing::chunked(), lines + "\r\n", {.trailer_bytes = 1000}).status(), 0);
    EXPECT_EQ(test::read_body(Framing::chunked(), lines + "\r\n", {.trailer_bytes = 400}).status(), 431);
    EXPECT_EQ(test::read_body(Framing::chunked(), lines + "\r\n", {.trailer_bytes = 400}, 1).status(), 431);
    EXPECT_EQ(test::read_body(Framing::chunked(), "0\r\n" + std::string(9000, 'a')).status(), 431);
    std::string many = "0\r\n";
    while (many.size() < 8000) many += "A:\r\n";
    EXPECT_EQ(test::read_body(Framing::chunked(), many + "\r\n").status(), 431);
}

TEST(BodyReader, Row48TrailersThatWouldChangeTheMessageAreDropped) {
    const std::string bytes =
        "0\r\n"
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: x\r\nX-Checksum:  1 \r\n"
        "Host: b\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\nServer-Timing: db\r\nTE: ,,\r\n\r\nGET";
    for (const std::size_t step : kSteps) {
        const auto read = test::read_body(Framing::chunked(), bytes, {}, step);
        EXPECT_EQ(read.status(), 0);
        EXPECT_EQ(read.trailers, "X-Checksum:  1 \r\nServer-Timing: db\r\n");
        EXPECT_EQ(read.consumed, bytes.size() - 3);
    }
}

TEST(ChunkPrefix, SaysTheSizeInHex) {
    EXPECT_EQ(ChunkPrefix(1).text(), "1\r\n");
    EXPECT_EQ(ChunkPrefix(65536).text(), "10000\r\n");
    EXPECT_EQ(ChunkPrefix(~std::uint64_t{0}).text(), "ffffffffffffffff\r\n");
}

TEST(ChunkPrefix, WhatIsFramedIsReadBack) {
    std::string framed;
    for (const std::string_view data : {"a", "hello", "0\r\n\r\n"})
        framed.append(ChunkPrefix(data.size()).text()).append(data).append(kCrlf);
    framed.append(kLastChunk).append("A: b\r\n").append(kCrlf);
    const auto read = test::read_body(Framing::chunked(), framed);
    EXPECT_EQ(read.data, "ahello0\r\n\r\n");
    EXPECT_EQ(read.trailers, "A: b\r\n");
}

}  // namespace
}  // namespace sluice::http
