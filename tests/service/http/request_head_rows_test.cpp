// The table of what is refused and what is not, row by row, as far as the head of a request decides. Each
// case is read whole and byte by byte: where the network cuts must not matter.

#include <ostream>

#include <gtest/gtest.h>

#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

using namespace std::string_literals;

struct Case {
    const char* name;  // Row and claim
    int status;        // 0: accepted
    std::string bytes;
};

void PrintTo(const Case& c, std::ostream* to) {
    *to << testing::PrintToString(c.bytes);
}

const std::string kStart = "POST /a HTTP/1.1\r\nHost: a\r\n";

// A well-formed request but for the field lines given.
std::string with(std::string_view lines) {
    return kStart + std::string(lines) + "\r\n";
}
// A well-formed request but for its request line.
std::string line(std::string_view request_line) {
    return std::string(request_line) + "\r\nHost: a\r\n\r\n";
}
std::string host(std::string_view value) {
    return "GET / HTTP/1.1\r\nHost: " + std::string(value) + "\r\n\r\n";
}
std::string target(std::string_view text) {
    return line("GET " + std::string(text) + " HTTP/1.1");
}

const Case kCases[] = {
    {"Row01_LengthThenChunked", 400, with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
    {"Row02_ChunkedThenLength", 400, with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
    {"Row02_GzipThenLength", 400, with("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n")},
    {"Row02_XchunkedThenLength", 400, with("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n")},
    {"Row03_ChunkedNotLast", 400, with("Transfer-Encoding: chunked, gzip\r\n")},
    {"Row04_ChunkedTwice", 400, with("Transfer-Encoding: chunked, chunked\r\n")},
    {"Row05_GzipChunked", 501, with("Transfer-Encoding: gzip, chunked\r\n")},
    {"Row06_Xchunked", 501, with("Transfer-Encoding: xchunked\r\n")},
    {"Row06_Identity", 501, with("Transfer-Encoding: identity\r\n")},
    {"Row06_IdentityChunked", 501, with("Transfer-Encoding: identity, chunked\r\n")},
    {"Row07_EmptyCoding", 400, with("Transfer-Encoding:\r\n")},
    {"Row07_BlankCoding", 400, with("Transfer-Encoding:  \t \r\n")},
    {"Row08_EmptyElementFirst", 400, with("Transfer-Encoding: ,chunked\r\n")},
    {"Row08_EmptyElementLast", 400, with("Transfer-Encoding: chunked,\r\n")},
    {"Row09_TwoLines", 400, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
    {"Row09_TwoLinesThatMakeAList", 400, with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")},
    {"Row10_VerticalTab", 400,
     with("Transfer-Encoding:\x0b"
          "chunked\r\n")},
    {"Row10_FormFeed", 400, with("Transfer-Encoding: chunked\x0c\r\n")},
    {"Row11_HighByteBehind", 400, with("Transfer-Encoding: chunked\xff\r\n")},
    {"Row11_NoBreakSpaceBefore", 400,
     with("Transfer-Encoding: \xa0"
          "chunked\r\n")},
    {"Row12_Parameter", 400, with("Transfer-Encoding: chunked;q=1\r\n")},
    {"Row12_TwoWords", 400, with("Transfer-Encoding: chunked x\r\n")},
    {"Row12_Quoted", 400, with("Transfer-Encoding: \"chunked\"\r\n")},
    {"Row12_CaseDoesNotMatter", 0, with("tRANSFER-eNCODING: \t CHUNKED \r\n")},
    {"Row13_ChunkedInHttp10", 400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"Row13_GzipInHttp10", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"},
    {"Row14_TwoLengths", 400, with("Content-Length: 5\r\nContent-Length: 6\r\n")},
    {"Row15_ListOfEqualLengths", 400, with("Content-Length: 5, 5\r\n")},
    {"Row15_LineTwice", 400, with("Content-Length: 5\r\nContent-Length: 5\r\n")},
    {"Row15_LineTwiceInOtherCase", 400, with("Content-Length: 5\r\ncontent-length: 5\r\n")},
    {"Row16_Empty", 400, with("Content-Length:\r\n")},
    {"Row16_TrailingComma", 400, with("Content-Length: 5,\r\n")},
    {"Row16_LeadingComma", 400, with("Content-Length: ,5\r\n")},
    {"Row17_Plus", 400, with("Content-Length: +5\r\n")},
    {"Row17_Minus", 400, with("Content-Length: -5\r\n")},
    {"Row17_Hex", 400, with("Content-Length: 0x5\r\n")},
    {"Row17_Underscore", 400, with("Content-Length: 5_0\r\n")},
    {"Row17_Exponent", 400, with("Content-Length: 1e0\r\n")},
    {"Row17_Space", 400, with("Content-Length: 5 5\r\n")},
    {"Row17_Fraction", 400, with("Content-Length: 5.0\r\n")},
    {"Row17_Quoted", 400, with("Content-Length: \"5\"\r\n")},
    {"Row18_TwoToThe64", 400, with("Content-Length: 18446744073709551616\r\n")},
    {"Row18_ManyDigits", 400, with("Content-Length: 99999999999999999999999999\r\n")},
    {"Row18_OneBelowIsANumber", 0, with("Content-Length: 18446744073709551615\r\n")},
    {"Row19_LeadingZeros", 0, with("Content-Length: 005\r\n")},
    {"Row20_LongName", 0, with("Content-Length0" + std::string(700, 'a') + ": 5\r\n")},
    {"Row20_NameBeyondTheLimit", 431, with("Content-Length0" + std::string(17000, 'a') + ": 5\r\n")},
    {"Row21_EmptyName", 400, with(": x\r\n")},
    {"Row22_SpaceBehindName", 400, with("Name : v\r\n")},
    {"Row22_TabBehindName", 400, with("Name\t: v\r\n")},
    {"Row23_SpaceBeforeFirstField", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {"Row23_TabBeforeFirstField", 400, "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"},
    {"Row23_BlankLineFirst", 400, "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n"},
    {"Row24_Fold", 400, with("A: b\r\n c\r\n")},
    {"Row24_FoldByTab", 400, with("A: b\r\n\tc\r\n")},
    {"Row24_FoldOfNothing", 400, with("A:\r\n \r\n")},
    {"Row24_FoldAsLastLine", 400, with("Transfer-Encoding: chunked\r\n ")},
    {"Row25_BareLfBehindRequestLine", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
    {"Row25_BareLfBehindField", 400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {"Row25_BareLfAsEmptyLine", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
    {"Row25_BareLfAllThrough", 400, "GET / HTTP/1.1\nHost: a\n\n"},
    {"Row26_BareCr", 400, with("A: b\rc\r\n")},
    {"Row26_CrCrLf", 400, with("A: b\r\r\n")},
    {"Row26_Nul", 400, with("A: b\0c\r\n"s)},
    {"Row26_Bell", 400, with("A: b\x07\r\n")},
    {"Row26_Delete", 400, with("A: b\x7f\r\n")},
    {"Row26_TabIsText", 0, with("A: b\tc\r\n")},
    {"Row27_ObsText", 0, with("A: caf\xe9 \xff\r\n")},
    {"Row28_UnderscoreTransferEncoding", 400, with("Transfer_Encoding: chunked\r\n")},
    {"Row28_UnderscoreContentLength", 400, with("content_length: 5\r\n")},
    {"Row28_TabBeforeColon", 400, with("Transfer-Encoding\t: chunked\r\n")},
    {"Row28_SpaceBeforeColon", 400, with("Content-Length : 5\r\n")},
    {"Row28_HighByteInName", 400, with("Transfer-Encoding\xa0: chunked\r\n")},
    {"Row28_ControlInName", 400, with("Transfer-Encoding\x0b: chunked\r\n")},
    {"Row29_NoColon", 400, with("Name\r\n")},
    {"Row30_OneEmptyLineBefore", 0, "\r\n" + with("")},
    {"Row30_FourEmptyLinesBefore", 0, "\r\n\r\n\r\n\r\n" + with("")},
    {"Row30_FiveEmptyLinesBefore", 400, "\r\n\r\n\r\n\r\n\r\n" + with("")},
    {"Row30_BareLfBefore", 400, "\n" + with("")},
    {"Row31_TwoHosts", 400, with("Host: b\r\n")},
    {"Row31_TwoEqualHosts", 400, with("Host: a\r\n")},
    {"Row31_TwoHostsInHttp10", 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
    {"Row32_NoHost", 400, "GET / HTTP/1.1\r\n\r\n"},
    {"Row32_NoHostWithAbsoluteTarget", 400, "GET http://a/ HTTP/1.1\r\n\r\n"},
    {"Row32_NoHostInHttp10", 0, "GET / HTTP/1.0\r\n\r\n"},
    {"Row33_Slash", 400, host("a/b")},
    {"Row33_UserInfo", 400, host("u@a")},
    {"Row33_List", 400, host("a,b")},
    {"Row33_TwoWords", 400, host("a b")},
    {"Row33_Empty", 400, host("")},
    {"Row33_OnlyPort", 400, host(":80")},
    {"Row33_PortOfLetters", 400, host("a:http")},
    {"Row33_PortTooHigh", 400, host("a:65536")},
    {"Row33_PortZero", 400, host("a:0")},
    {"Row33_PortMissing", 400, host("a:")},
    {"Row33_PortSigned", 400, host("a:+80")},
    {"Row33_TwoPorts", 400, host("a:80:80")},
    {"Row33_HighByte", 400, host("\xe4")},
    {"Row33_BracketOpen", 400, host("[::1")},
    {"Row33_BracketOfNothing", 400, host("[]")},
    {"Row33_BracketOfName", 400, host("[name]")},
    {"Row33_BehindBracket", 400, host("[::1]a")},
    {"Row33_Ipv6WithoutBrackets", 400, host("::1")},
    {"Row33_Name", 0, host("a-b.example_c.com:8080")},
    {"Row33_Ipv6", 0, host("[2001:db8::1]:8080")},
    {"Row34_AbsoluteTarget", 0, target("http://b:81/c?d")},
    {"Row34_AbsoluteTargetWithUserInfo", 400, target("http://u@b/")},
    {"Row34_AbsoluteTargetWithoutHost", 400, target("http:///c")},
    {"Row34_BadHostIsStillBad", 400, "GET http://b/ HTTP/1.1\r\nHost: u@a\r\n\r\n"},
    {"Row35_GetAsterisk", 400, target("*")},
    {"Row35_Relative", 400, target("foo")},
    {"Row35_OtherScheme", 400, target("ftp://a/")},
    {"Row35_AuthorityForm", 400, target("a:80")},
    {"Row35_OptionsAsterisk", 0, line("OPTIONS * HTTP/1.1")},
    {"Row36_Fragment", 400, target("/a#b")},
    {"Row36_FragmentInQuery", 400, target("/a?b#c")},
    {"Row37_Nul", 400, target("/a\0b"s)},
    {"Row37_Control", 400, target("/a\x01")},
    {"Row37_Tab", 400, target("/a\tb")},
    {"Row37_Space", 400, target("/a b")},
    {"Row37_Delete", 400, target("/a\x7f")},
    {"Row37_HighByte", 400, target("/\xc3\xa4")},
    {"Row37_TwoSpacesBefore", 400, line("GET  / HTTP/1.1")},
    {"Row37_TwoSpacesBehind", 400, line("GET /  HTTP/1.1")},
    {"Row37_SpaceAtTheEnd", 400, line("GET / HTTP/1.1 ")},
    {"Row37_Empty", 400, line("GET  HTTP/1.1")},
    {"Row38_Connect", 501, line("CONNECT a:443 HTTP/1.1")},
    {"Row38_ConnectOfAPath", 501, line("CONNECT / HTTP/1.1")},
    {"Row39_LongMinor", 400, line("GET / HTTP/1.01")},
    {"Row39_LowerCase", 400, line("GET / http/1.1")},
    {"Row39_NoMinor", 400, line("GET / HTTP/1")},
    {"Row39_NoVersion", 400, line("GET /")},
    {"Row39_OnlyMethod", 400, line("GET")},
    {"Row39_Http12", 0, line("GET / HTTP/1.2")},
    {"Row40_Http20", 505, line("GET / HTTP/2.0")},
    {"Row40_Http09", 505, line("GET / HTTP/0.9")},
    {"Row40_Preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {"Row51_TeGzip", 0, with("TE: gzip, trailers\r\n")},
    {"Row52_UpgradeH2c", 0,
     with("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n")},
    {"Row56_ExpectContinue", 0, with("Expect: 100-Continue\r\n")},
    {"Row56_ExpectOther", 417, with("Expect: y 100-continue\r\n")},
    {"Row56_ExpectList", 417, with("Expect: 100-continue, x\r\n")},
    {"Row56_ExpectEmpty", 417, with("Expect:\r\n")},
    {"Row62_HeadTooLong", 431, with("A: " + std::string(16 * 1024, 'a') + "\r\n")},
    {"Row62_HeadThatNeverEnds", 431, kStart + std::string(20000, 'a')},
    {"ConnectionEmpty", 0, with("Connection:\r\n")},
    {"ConnectionWithEmptyElements", 0, with("Connection: ,close,\r\n")},
    {"ConnectionQuoted", 400, with("Connection: \"close\"\r\n")},
    {"ConnectionOfTwoWords", 400, with("Connection: close x\r\n")},
    {"ConnectionWithParameter", 400, with("Connection: keep-alive;q=1\r\n")},
    {"ProxyConnection", 0, with("Proxy-Connection: keep-alive, \r\n")},
    {"ProxyConnectionQuoted", 400, with("Proxy-Connection: \"a\"\r\n")},
    {"MethodIsNoToken", 400, line("G@T / HTTP/1.1")},
    {"TlsOnThePlainPort", 400, "\x16\x03\x01\x02"s},
    {"ConnectionNamesWithoutEnd", 400,
     with("Connection: " + std::string(4000, 'a') + ",b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n")},
};

class RequestHeadRows : public testing::TestWithParam<Case> {};

TEST_P(RequestHeadRows, IsReadAsTheTableSays) {
    const Case& c = GetParam();
    const auto whole = test::read_request(c.bytes);
    EXPECT_EQ(whole.status(), c.status) << (whole.refusal ? whole.refusal->reason : "accepted");
    const auto bytewise = test::read_request(c.bytes, {}, 1);
    EXPECT_EQ(bytewise.status(), c.status);
    EXPECT_EQ(bytewise.refusal, whole.refusal);
    EXPECT_EQ(bytewise.size, whole.size);
    EXPECT_EQ(bytewise.head.fields.size(), whole.head.fields.size());
}

INSTANTIATE_TEST_SUITE_P(Table, RequestHeadRows, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

TEST(RequestHeadRows, Row62MoreFieldsThanAllowed) {
    std::string lines;
    for (int i = 0; i < 9; ++i) lines += "A: b\r\n";
    EXPECT_EQ(test::read_request(with(lines), {.fields = 10}).status(), 0);
    EXPECT_EQ(test::read_request(with(lines + "A: b\r\n"), {.fields = 10}).status(), 431);
}

TEST(RequestHeadRows, Row62TheLimitIsOfTheHeadAlone) {
    const std::string head = with("");
    EXPECT_EQ(test::read_request(head + std::string(9000, 'x'), {.bytes = head.size()}).status(), 0);
    EXPECT_EQ(test::read_request(head, {.bytes = head.size() - 1}).status(), 431);
}

TEST(RequestHeadRows, Row62NoMoreFieldsThanThereIsRoomFor) {
    std::string lines;
    for (std::size_t i = 0; i < Fields::kMax; ++i) lines += "A:\r\n";
    EXPECT_EQ(test::read_request(with(lines), {.fields = 100000}).status(), 431);
}

}  // namespace
}  // namespace sluice::http
