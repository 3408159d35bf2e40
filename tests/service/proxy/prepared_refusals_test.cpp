#include "service/proxy/prepared_refusals.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace sluice::proxy {
namespace {

constexpr std::string_view kThen = "Mon, 30 Nov 2026 01:45:31 GMT";
constexpr std::string_view kNow = "Tue, 01 Dec 2026 23:59:59 GMT";

std::string refusal(std::string_view date, std::string_view rest = "Retry-After: 7\r\n\r\nlater") {
    return "HTTP/1.1 429 Too Many Requests\r\nDate: " + std::string(date) + "\r\n" + std::string(rest);
}

class PreparedRefusalsTest : public testing::Test {
  protected:
    // Never looked into.
    RefusalForm form_{.limit = reinterpret_cast<const policy::Limit*>(0x1000),
                      .version = 3,
                      .remaining = 0,
                      .next_token = 7,
                      .retry_after = 7,
                      .keep_alive = true,
                      .minor = 1};
    PreparedRefusals refusals_;
    std::array<char, 1024> room_;

    std::string copy(const RefusalForm& form, std::string_view date = kNow) {
        const auto prepared = refusals_.copy(form, date, room_);
        return prepared ? std::string(prepared->answer) : "";
    }
};

TEST_F(PreparedRefusalsTest, HasNoneAtFirst) {
    EXPECT_EQ(copy(form_), "");
    EXPECT_EQ(copy({}), "") << "what is empty must not pass for a refusal without a limit";
}

TEST_F(PreparedRefusalsTest, TellsWhatWasKeptAtItsOwnDate) {
    refusals_.keep(form_, {refusal(kThen), 5});
    EXPECT_EQ(copy(form_), refusal(kNow));
    EXPECT_EQ(refusals_.copy(form_, kNow, room_)->body_size, 5u);
    EXPECT_EQ(copy(form_, kThen), refusal(kThen));
}

TEST_F(PreparedRefusalsTest, OfEveryOtherFormItHasNone) {
    refusals_.keep(form_, {refusal(kThen), 5});
    const auto other = [this](auto change) {
        RefusalForm form = form_;
        change(form);
        return copy(form);
    };
    EXPECT_EQ(other([](RefusalForm& f) { f.limit = reinterpret_cast<const policy::Limit*>(0x9000); }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.version = 4; }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.remaining = 1; }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.next_token = 8; }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.retry_after = 8; }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.retry_after = 7 + 16; }), "") << "at the same place";
    EXPECT_EQ(other([](RefusalForm& f) { f.keep_alive = false; }), "");
    EXPECT_EQ(other([](RefusalForm& f) { f.minor = 0; }), "");
}

TEST_F(PreparedRefusalsTest, OneOfEachTimeIsKept) {
    for (form_.retry_after = 1; form_.retry_after <= 16; ++form_.retry_after)
        refusals_.keep(form_, {refusal(kThen, std::to_string(form_.retry_after)), 0});
    for (form_.retry_after = 1; form_.retry_after <= 16; ++form_.retry_after)
        EXPECT_EQ(copy(form_), refusal(kNow, std::to_string(form_.retry_after)));
}

TEST_F(PreparedRefusalsTest, TheLaterOfOnePlaceStays) {
    refusals_.keep(form_, {refusal(kThen, "first"), 0});
    RefusalForm later = form_;
    later.version = 4;
    refusals_.keep(later, {refusal(kThen, "second"), 0});
    EXPECT_EQ(copy(form_), "");
    EXPECT_EQ(copy(later), refusal(kNow, "second"));
}

TEST_F(PreparedRefusalsTest, KeepsNeitherWhatIsLongNorWhatHasNoDate) {
    refusals_.keep(form_, {refusal(kThen, std::string(PreparedRefusals::kLongest, 'x')), 0});
    EXPECT_EQ(copy(form_), "");
    refusals_.keep(form_, {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\n\r\n", 0});
    EXPECT_EQ(copy(form_), "");
    refusals_.keep(form_, {"", 0});
    EXPECT_EQ(copy(form_), "");
}

TEST_F(PreparedRefusalsTest, WritesNothingWhereItDoesNotFit) {
    refusals_.keep(form_, {refusal(kThen), 5});
    std::array<char, 20> room;
    EXPECT_FALSE(refusals_.copy(form_, kNow, room));
}

}  // namespace
}  // namespace sluice::proxy
