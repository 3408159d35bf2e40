#include "service/http/reply.h"

#include <gtest/gtest.h>

#include "service/http/date.h"
#include "tests/service/http/reading.h"

namespace sluice::http {
namespace {

TEST(Reply, IsAWholeAnswer) {
    std::array<char, 1024> room;
    EXPECT_EQ(
        write_reply({.status = 429,
                     .content_type = "text/plain",
                     .extra = "Retry-After: 3\r\n",
                     .date = "today",
                     .body = "slow down",
                     .keep_alive = true},
                    room),
        "HTTP/1.1 429 Too Many Requests\r\nDate: today\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
        "Retry-After: 3\r\n\r\nslow down");
}

TEST(Reply, ToHeadAnnouncesTheBodyOnly) {
    std::array<char, 1024> room;
    EXPECT_EQ(
        write_reply({.status = 200, .body = "abc", .keep_alive = true, .minor = 0, .to_head = true}, room),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n");
}

TEST(Reply, NoContentHasNoLength) {
    std::array<char, 1024> room;
    EXPECT_EQ(write_reply({.status = 204, .body = "abc"}, room),
              "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
}

TEST(Reply, RoomThatIsTooSmallGivesNothing) {
    std::array<char, 64> room;
    EXPECT_EQ(write_reply({.status = 200, .body = "a body that is too long for it"}, room), "");
}

TEST(Problem, EscapesItsDetail) {
    std::array<char, 1024> room;
    const std::string_view text = write_problem({.status = 400}, "a \"b\\\n\xff", room);
    EXPECT_TRUE(text.ends_with(
        R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"a \"b\\\u000a\u00ff"})"))
        << text;
}

TEST(Problem, LongDetailIsCut) {
    std::array<char, 2048> room;
    const std::string_view text = write_problem({.status = 431}, std::string(5000, '\x01'), room);
    EXPECT_TRUE(text.ends_with("\\u0001\"}"));
}

// An answer of our own must pass our own reading, and be as long as it says.
void expect_complete(std::string_view text, int status) {
    const auto read = test::read_response(text);
    ASSERT_EQ(read.status(), 0);
    EXPECT_EQ(read.head.status, status);
    EXPECT_EQ(read.head.framing, Framing::of_length(read.behind().size()));
    EXPECT_FALSE(read.head.keep_alive);
}

TEST(Problem, EveryErrorOfTheProxyIsACompleteAnswer) {
    for (const int status : {400, 403, 404, 408, 413, 417, 429, 431, 500, 501, 502, 503, 504, 505}) {
        std::array<char, 1024> room;
        expect_complete(write_problem({.status = status}, "why", room), status);
        EXPECT_NE(reason_phrase(status), "Unknown");
    }
}

TEST(Reply, OverloadedIsACompleteAnswer) {
    expect_complete(kOverloaded, 503);
    EXPECT_EQ(test::read_response(kOverloaded).head.fields.value(FieldId::retry_after), "1");
}

TEST(DateText, IsAnImfFixdate) {
    using namespace std::chrono;
    DateText date;
    EXPECT_EQ(date.at(sys_seconds(seconds(784111777))), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(sys_seconds(seconds(784111777))), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(sys_seconds(seconds(0))), "Thu, 01 Jan 1970 00:00:00 GMT");
    EXPECT_EQ(date.at(sys_days(2028y / February / 29) + 23h + 59min + 59s), "Tue, 29 Feb 2028 23:59:59 GMT");
}

}  // namespace
}  // namespace sluice::http
