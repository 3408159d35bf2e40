#include "service/policy/rate_fields.h"

#include <array>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using config::RateHeaders;

std::string fields(const Verdict& verdict, RateHeaders headers = RateHeaders::standard) {
    std::array<char, kRateFieldsRoom> room;
    return std::string(write_rate_fields(verdict, headers, room));
}

http::Fields answer(std::initializer_list<std::pair<std::string_view, std::string_view>> lines) {
    http::Fields fields;
    for (const auto& [name, value] : lines) fields.add({name, value, http::identify(name)});
    return fields;
}

TEST(RateFields, TellPolicyAndRemainder) {
    House house({limit_of("per-ip", 10, 1s, 20)});
    EXPECT_EQ(fields(house.decide()),
              "RateLimit-Policy: \"per-ip\";q=20;w=2\r\nRateLimit: \"per-ip\";r=19;t=1\r\n");
}

TEST(RateFields, RefusalTellsWhenToComeAgain) {
    House house({limit_of("per-ip", 1, 10s, 1)});
    house.decide();
    EXPECT_EQ(
        fields(house.decide("192.0.2.1", kNow + 1)),
        "RateLimit-Policy: \"per-ip\";q=1;w=10\r\nRateLimit: \"per-ip\";r=0;t=10\r\nRetry-After: 10\r\n");
    EXPECT_EQ(fields(house.decide("192.0.2.1", kNow + 10 * kSecond - 1), RateHeaders::none),
              "Retry-After: 1\r\n");
}

TEST(RateFields, AllThatAppliedAreNamedInOrderAndTheNearestIsTold) {
    House house(
        {limit_of("wide", 100, 1h, 100), limit_of("tight", 1, 1min, 2), limit_of("middle", 10, 1min, 10)});
    const std::string policies =
        "RateLimit-Policy: \"wide\";q=100;w=3600, \"tight\";q=2;w=120, \"middle\";q=10;w=60\r\n";
    EXPECT_EQ(fields(house.decide()), policies + "RateLimit: \"tight\";r=1;t=60\r\n");
    house.decide();
    EXPECT_EQ(fields(house.decide()), policies + "RateLimit: \"tight\";r=0;t=60\r\nRetry-After: 60\r\n");
}

TEST(RateFields, OfThoseWithAsMuchLeftTheSlowerIsTold) {
    for (const bool slow_first : {true, false}) {
        config::Limit one = limit_of("slow", 1, 1h, 5), other = limit_of("fast", 5, 1s, 5);
        if (!slow_first) std::swap(one, other);
        House house({one, other});
        EXPECT_TRUE(fields(house.decide()).ends_with("\r\nRateLimit: \"slow\";r=4;t=3600\r\n"));
    }
}

TEST(RateFields, TheNearestIsOfWhatTheRequestCosts) {
    config::Limit costly = limit_of("costly", 100, 1h, 100), free = limit_of("free", 10, 1h, 10);
    costly.cost.fixed = 30;
    free.cost.by_method = {{"GET", 0}};
    House house({limit_of("plain", 20, 1h, 20), costly, free});
    EXPECT_TRUE(fields(house.decide()).contains("RateLimit: \"costly\";r=70;")) << "2 more; 19 of plain";
    EXPECT_TRUE(fields(house.decide()).contains("RateLimit: \"costly\";r=40;"));
    House freely({free, costly});
    EXPECT_TRUE(fields(freely.decide()).contains("RateLimit: \"costly\";r=70;"));
    EXPECT_TRUE(fields(House({costly, free}).decide()).contains("RateLimit: \"costly\";r=70;"));
}

TEST(RateFields, FullBucketHasNoTime) {
    config::Limit limit = limit_of("costly", 10, 1s, 20);
    limit.cost.by_method = {{"GET", 0}};
    House house({limit});
    EXPECT_EQ(fields(house.decide()),
              "RateLimit-Policy: \"costly\";q=20;w=2\r\nRateLimit: \"costly\";r=20\r\n");
    EXPECT_EQ(fields(house.decide(), RateHeaders::legacy),
              "X-RateLimit-Limit: 20\r\nX-RateLimit-Remaining: 20\r\nX-RateLimit-Reset: 0\r\n");
}

TEST(RateFields, LegacyAndBoth) {
    House house({limit_of("per-ip", 10, 1s, 20)});
    const std::string legacy =
        "X-RateLimit-Limit: 20\r\nX-RateLimit-Remaining: 19\r\nX-RateLimit-Reset: 1\r\n";
    const Verdict verdict = house.decide();
    EXPECT_EQ(fields(verdict, RateHeaders::legacy), legacy);
    EXPECT_EQ(fields(verdict, RateHeaders::both), fields(verdict) + legacy);
    EXPECT_EQ(fields(verdict, RateHeaders::none), "");
}

TEST(RateFields, NothingToTellWithoutALimit) {
    config::Limit posts = limit_of("posts", 1, 1s, 1);
    posts.match.methods = {"POST"};
    House house({posts});
    EXPECT_EQ(fields(house.decide()), "");
    EXPECT_EQ(fields(House({}).decide()), "");
}

TEST(RateFields, LimitInShadowModeIsNotShown) {
    config::Limit shadow = limit_of("shadow", 1, 1h, 1);
    shadow.mode = config::Mode::shadow;
    House house({shadow, limit_of("shown", 10, 1s, 10)});
    for (int left = 9; left > 5; --left)
        EXPECT_EQ(fields(house.decide()), "RateLimit-Policy: \"shown\";q=10;w=1\r\nRateLimit: \"shown\";r=" +
                                              std::to_string(left) + ";t=1\r\n");
    House alone({shadow});
    alone.decide();
    EXPECT_EQ(fields(alone.decide()), "");
}

TEST(RateFields, NameIsQuoted) {
    House house({limit_of("a\"b\\c", 1, 1s, 1)});
    EXPECT_EQ(fields(house.decide()),
              "RateLimit-Policy: \"a\\\"b\\\\c\";q=1;w=1\r\nRateLimit: \"a\\\"b\\\\c\";r=0;t=1\r\n");
}

TEST(RateFields, CostThatIsNeverAdmittedIsToldWhenTheBucketIsFull) {
    config::Limit limit = limit_of("x", 1, 10s, 6);
    limit.cost.header = "X-Cost";
    House house({limit});
    const Verdict verdict = house.decide(Head("GET / HTTP/1.1", "X-Cost: 7\r\n"));
    EXPECT_EQ(retry_after_seconds(verdict), 60U);
}

TEST(RateFields, RefusalThatBansTellsWhenTheBanEnds) {
    config::Limit limit = limit_of("x", 1, 1s, 1);
    limit.ban = {.after = 2, .within = 1min, .duration = 15min};
    House house({limit});
    house.decide();
    EXPECT_EQ(retry_after_seconds(house.decide()), 1U);
    const Verdict last = house.decide();
    EXPECT_EQ(retry_after_seconds(last), 900U);
    EXPECT_EQ(fields(last),
              "RateLimit-Policy: \"x\";q=1;w=1\r\nRateLimit: \"x\";r=0;t=1\r\nRetry-After: 900\r\n");
    EXPECT_EQ(house.decide().banned_for, 900 * kSecond);

    config::Limit slow = limit_of("slow", 1, 1h, 1);
    slow.ban = {.after = 1, .within = 1min, .duration = 15min};
    House longer({slow});
    longer.decide();
    EXPECT_EQ(retry_after_seconds(longer.decide()), 3600U) << "the ban ends before";
}

TEST(RateFields, WhatDoesNotFitIsLeftOut) {
    House house({limit_of("per-ip", 10, 1s, 20)});
    std::array<char, 50> room;
    EXPECT_EQ(write_rate_fields(house.decide(), RateHeaders::standard, room), "");
}

TEST(RateFields, RoomSufficesForTheLongestVerdict) {
    config::Config config;
    for (int i = 0; i < 32; ++i)
        config.limits.push_back(limit_of(std::string(128, '"'), 1'000'000'000, 1s, std::uint64_t{1} << 61));
    Ledger ledger(1000, 1);
    Policy policy(config, ledger);
    const Head head;
    const Verdict verdict = decide(policy, ledger.table, {head.head, "", {}}, 0, kNow);
    std::array<char, kRateFieldsRoom> room;
    EXPECT_FALSE(write_rate_fields(verdict, RateHeaders::both, room).empty());
}

// What the upstream sent itself.

struct TheirsCase {
    std::string_view name, value;
    bool ours;
};

TEST(RateFields, UpstreamsStayUnlessOursAreTighter) {
    House house({limit_of("ours", 1, 1s, 10)});
    const Verdict verdict = house.decide();  // 9 left
    const std::vector<TheirsCase> cases = {
        {"RateLimit", "\"theirs\";r=0;t=60", false},
        {"RateLimit", "\"theirs\";r=9", false},
        {"RateLimit", "\"theirs\";r=10;t=60", true},
        {"RateLimit", "\"a\";r=100, \"b\";r=3", false},
        {"RateLimit", "\"a\";r=100,\"b\";t=1;r=30;pk=:YWJj:", true},
        {"RateLimit", "token;r=2", false},
        {"RateLimit", "(\"a\" \"b\");r=2", false},
        {"RateLimit", "\"a\";r=2;r=50", true},  // the last of two counts
        {"RateLimit", "\"a\";x=?1;y=1.5;z=@1;d=%\"%c3%a4\";r=2", false},
        {"RateLimit", "limit=10, remaining=2, reset=5", true},  // a dictionary, of an old draft
        {"RateLimit", "", true},
        {"RateLimit", "\"a\"", true},
        {"RateLimit", "\"a\";r", true},
        {"RateLimit", "\"a\";r=-1", true},
        {"RateLimit", "\"a\";r=1.0", true},
        {"RateLimit", "\"a\";r=\"1\"", true},
        {"RateLimit", "\"a\";r=1,", true},
        {"RateLimit", "\"a;r=1", true},
        {"RateLimit", "\"a\" ;r=1", true},
        {"RateLimit", "\"a\";R=1", true},
        {"RateLimit", "\"a\";r=1234567890123456", true},
        {"RateLimit", "\"a\";r=1 \"b\";r=1", true},
        {"RateLimit-Policy", "\"a\";q=1", true},
        {"X-RateLimit-Remaining", "3", true},
        {"Server", "x", true},
    };
    for (const TheirsCase& each : cases) {
        const RateFieldsChoice choice =
            choose_rate_fields(verdict, RateHeaders::standard, answer({{each.name, each.value}}));
        EXPECT_EQ(choice.ours, each.ours ? RateHeaders::standard : RateHeaders::none)
            << each.name << ": " << each.value;
        for (const http::FieldId id : {http::FieldId::ratelimit, http::FieldId::ratelimit_policy})
            EXPECT_EQ(choice.drop.contains(id), each.ours);
        for (const http::FieldId id : {http::FieldId::x_ratelimit_limit, http::FieldId::x_ratelimit_remaining,
                                       http::FieldId::x_ratelimit_reset, http::FieldId::retry_after})
            EXPECT_FALSE(choice.drop.contains(id));
    }
}

TEST(RateFields, EachKindIsChosenByItself) {
    House house({limit_of("ours", 1, 1s, 10)});
    const Verdict verdict = house.decide();  // 9 left
    struct Case {
        RateHeaders headers;
        std::string_view standard, legacy;  // what the upstream sends; empty: nothing
        RateHeaders ours;
    };
    using enum RateHeaders;
    for (const Case& each :
         {Case{legacy, "", "3", none}, Case{legacy, "", "9", none}, Case{legacy, "", "10", legacy},
          Case{legacy, "", "none", legacy}, Case{legacy, "", "3, 4", legacy},
          Case{legacy, "\"a\";r=1", "", legacy}, Case{both, "", "3", standard},
          Case{both, "\"a\";r=1", "", legacy}, Case{both, "\"a\";r=1", "3", none},
          Case{both, "\"a\";r=10", "10", both}, Case{both, "\"a\";r=10", "3", standard},
          Case{standard, "\"a\";r=1", "10", none}, Case{both, "", "", both}}) {
        http::Fields theirs;
        if (!each.standard.empty()) theirs.add({"RateLimit", each.standard, http::FieldId::ratelimit});
        if (!each.legacy.empty())
            theirs.add({"X-RateLimit-Remaining", each.legacy, http::FieldId::x_ratelimit_remaining});
        const RateFieldsChoice choice = choose_rate_fields(verdict, each.headers, theirs);
        EXPECT_EQ(choice.ours, each.ours) << each.standard << " / " << each.legacy;
        EXPECT_EQ(choice.drop.contains(http::FieldId::ratelimit), each.ours == standard || each.ours == both);
        EXPECT_EQ(choice.drop.contains(http::FieldId::x_ratelimit_remaining),
                  each.ours == legacy || each.ours == both);
    }
}

TEST(RateFields, SeveralLinesOfTheUpstreamAreOneList) {
    House house({limit_of("ours", 1, 1s, 10)});
    const Verdict verdict = house.decide();
    EXPECT_EQ(choose_rate_fields(verdict, RateHeaders::standard,
                                 answer({{"RateLimit", "\"a\";r=50"}, {"ratelimit", "\"b\";r=1"}}))
                  .ours,
              RateHeaders::none);
    EXPECT_EQ(choose_rate_fields(verdict, RateHeaders::standard,
                                 answer({{"RateLimit", "\"a\";r=50"}, {"ratelimit", "what"}}))
                  .ours,
              RateHeaders::standard);
}

TEST(RateFields, UpstreamsStayWhereWeHaveNothingToSay) {
    const http::Fields theirs = answer({{"RateLimit", "nonsense"}, {"X-RateLimit-Remaining", "1000"}});
    House none({});
    House house({limit_of("ours", 1, 1s, 10)});
    for (const RateFieldsChoice choice : {choose_rate_fields(none.decide(), RateHeaders::both, theirs),
                                          choose_rate_fields(house.decide(), RateHeaders::none, theirs)}) {
        EXPECT_EQ(choice.ours, RateHeaders::none);
        EXPECT_FALSE(choice.drop.contains(http::FieldId::ratelimit));
        EXPECT_FALSE(choice.drop.contains(http::FieldId::x_ratelimit_remaining));
    }
}

}  // namespace
}  // namespace sluice::policy
