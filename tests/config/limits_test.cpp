#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/names.h"
#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

std::string keys(std::string_view key) {
    std::string out;
    for (const KeyPart& part : only_limit(R"("rate": "1/s", "key": )" + std::string(key)).key)
        out += to_string(part) + " ";
    return out;
}

TEST(Limits, AreNamedByTheirPlaceUnlessTheyHaveNames) {
    const auto limits =
        good(with(R"("limits": [ { "rate": "1/s" }, { "rate": "1/s", "name": "x y" }, { "rate": "1/s" } ])"))
            .limits;
    ASSERT_EQ(limits.size(), 3U);
    EXPECT_EQ(limits[0].name, "limit-1");
    EXPECT_EQ(limits[1].name, "x y");
    EXPECT_EQ(limits[2].name, "limit-3");
}

TEST(Limits, HaveAllKeysOfTheContract) {
    for (const char* key : {"ip", "global", "host", "method", "path", "route", "header:X-Api-Key",
                            "cookie:session", "query:user"})
        EXPECT_EQ(keys("\"" + std::string(key) + "\""), std::string(key) + " ");
    EXPECT_EQ(keys(R"([ "ip", "path", "header:A", "header:B" ])"), "ip path header:A header:B ");
    EXPECT_EQ(keys(R"("query:user[name]")"), "query:user[name] ");
}

TEST(Limits, HaveAllSettingsOfTheContract) {
    const Limit limit = only_limit(
        R"("name": "n", "match": { "path_prefix": "/a" }, "ipv4_prefix": 24, "ipv6_prefix": 48, "key": [ "ip", "cookie:c" ],
        "missing": "skip", "algorithm": "token_bucket", "rate": "100/10s", "burst": 7, "cost": 2, "mode": "shadow", "action": "reject", "status": 503)");
    EXPECT_EQ(limit.match.path_prefix, "/a");
    EXPECT_EQ(limit.ipv4_prefix, 24U);
    EXPECT_EQ(limit.ipv6_prefix, 48U);
    EXPECT_EQ(limit.missing, Missing::skip);
    EXPECT_EQ(limit.rate, (Rate{100, 10s, "100/10s"}));
    EXPECT_EQ(limit.burst, 7U);
    EXPECT_EQ(limit.cost.fixed, 2U);
    EXPECT_EQ(limit.mode, Mode::shadow);
    EXPECT_EQ(limit.status, 503U);
}

TEST(Limits, CostsHaveThreeForms) {
    EXPECT_EQ(only_limit(R"("rate": "9/s", "cost": 5)").cost, (Cost{5, "", 100, {}}));
    EXPECT_EQ(only_limit(R"("rate": "9/s", "cost": { "header": "X-Cost" })").cost,
              (Cost{1, "X-Cost", 100, {}}));
    EXPECT_EQ(only_limit(R"("rate": "9/s", "cost": { "header": "X-Cost", "default": 0, "max": 50 })").cost,
              (Cost{0, "X-Cost", 50, {}}));
    EXPECT_EQ(only_limit(R"("rate": "9/s", "cost": { "by_method": { "POST": 5, "GET": 0 } })").cost,
              (Cost{1, "", 100, {{"GET", 0}, {"POST", 5}}}));
}

TEST(Limits, MistakesInKeys) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"(@"headr:X")", "/limits/0/key",
         R"("headr:X" is not a key (ip, global, host, method, path, route, header:NAME, cookie:NAME or query:NAME; did you mean "header:X"?))"},
        {R"(@"user")", "/limits/0/key",
         R"("user" is not a key (ip, global, host, method, path, route, header:NAME, cookie:NAME or query:NAME))"},
        {R"(@"header")", "/limits/0/key",
         R"("header" does not name the header (such as "header:X-Api-Key"))"},
        {R"(@"header:")", "/limits/0/key",
         R"("header:" does not name the header (such as "header:X-Api-Key"))"},
        {R"(@"cookie:a b")", "/limits/0/key",
         R"("cookie:a b" does not name the cookie (such as "cookie:id"))"},
        {R"(@"query:a=b")", "/limits/0/key", R"("query:a=b" does not name the query (such as "query:id"))"},
        {R"(@"ip:v4")", "/limits/0/key", R"("ip:v4": "ip" takes no name)"},
        {R"([ "ip", "path", @"ip" ])", "/limits/0/key/2", R"("ip" is in the key already)"},
        {R"(@[])", "/limits/0/key", R"(a key of nothing ("global" counts all requests together))"},
        {R"(@{ "header": "X" })", "/limits/0/key",
         R"(must be a string such as "ip" or "header:X-Api-Key", not an object)"},
        {R"([ @1 ])", "/limits/0/key/0",
         R"(must be a string such as "ip" or "header:X-Api-Key", not a number)"},
    };
    for (const auto& [key, pointer, message] : rows)
        expect_error(limit_with(R"("rate": "1/s", "key": )" + std::string(key)), pointer, message);
}

TEST(Limits, MistakesInCosts) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {"@0", "/limits/0/cost", "0 is not between 1 and 1000000000"},
        {R"(@"5")", "/limits/0/cost",
         R"(must be a whole number, { "header": "X-Cost" } or { "by_method": { "POST": 5 } }, not a string)"},
        {"@{}", "/limits/0/cost", R"("header" or "by_method" is missing (such as "header": "X-Cost"))"},
        {R"({ "header": @"X Cost" })", "/limits/0/cost/header",
         R"("X Cost" is not the name of a header (letters, digits and hyphens, such as "X-Api-Key"))"},
        {R"({ "header": "X", "max": @0 })", "/limits/0/cost/max", "0 is not between 1 and 1000000000"},
        {R"({ "by_method": { @"post": 5 } })", "/limits/0/cost/by_method/post",
         R"("post" is not a method (upper and lower case differ; did you mean "POST"?))"},
        {R"({ "by_method": { "POST": @-1 } })", "/limits/0/cost/by_method/POST", "-1 is negative"},
        {R"({ "by_method": @{} })", "/limits/0/cost/by_method", R"(is empty (such as { "POST": 5 }))"},
        {R"({ "by_method": { "POST": 5 }, @"max": 5 })", "/limits/0/cost/max",
         R"("max" does not go with "by_method")"},
        {R"(@11)", "/limits/0/cost", R"(a cost of 11 is never admitted ("burst" is 10))"},
        {R"({ "header": "X", "default": @11 })", "/limits/0/cost/default",
         R"(a cost of 11 is never admitted ("burst" is 10))"},
        {R"({ "by_method": { "GET": 1, "POST": @11 } })", "/limits/0/cost/by_method/POST",
         R"(a cost of 11 is never admitted ("burst" is 10))"},
    };
    for (const auto& [cost, pointer, message] : rows)
        expect_error(limit_with(R"("rate": "10/s", "cost": )" + std::string(cost)), pointer, message);
}

TEST(Limits, HaveFourAlgorithmsAndTwoActions) {
    EXPECT_EQ(only_limit(R"("rate": "1/s", "algorithm": "fixed_window")").algorithm, Algorithm::fixed_window);
    EXPECT_EQ(only_limit(R"("rate": "1/s", "algorithm": "sliding_window")").burst, 0U);
    EXPECT_EQ(only_limit(R"("algorithm": "concurrency", "max": 3, "cost": 3)").max, 3U);
    const Limit delay = only_limit(R"("rate": "1/s", "action": "delay", "max_delay": "2s")");
    EXPECT_EQ(delay.action, Action::delay);
    EXPECT_EQ(delay.max_delay, 2s);
}

TEST(Limits, WhatAnAlgorithmCannotCountIsAMistake) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("algorithm": "sliding_window", "rate": @"1000000000/s")", "/limits/0/rate",
         R"("1000000000/s" is one each nanosecond, and a sliding window counts less than that ("fixed_window" takes it))"},
        {R"("algorithm": "sliding_window", "rate": "5/s", "cost": @6)", "/limits/0/cost",
         R"(a cost of 6 is never admitted ("rate" counts 5))"},
        {R"("algorithm": "fixed_window", "rate": "5/s", "cost": { "by_method": { "POST": @6 } })",
         "/limits/0/cost/by_method/POST", R"(a cost of 6 is never admitted ("rate" counts 5))"},
        {R"("algorithm": "concurrency", "max": 3, "cost": @4)", "/limits/0/cost",
         R"(a cost of 4 is never admitted ("max" is 3))"},
        {R"("algorithm": "concurrency", "max": 3, @"rate": "5/s")", "/limits/0/rate",
         R"("rate" does not go with the algorithm "concurrency", which has "max")"},
        {R"("algorithm": "fixed_window", "rate": "5/s", @"burst": 6)", "/limits/0/burst",
         R"("burst" goes with the algorithm "token_bucket" alone)"},
    };
    for (const auto& [text, pointer, message] : rows) expect_error(limit_with(text), pointer, message);
    only_limit(R"("algorithm": "fixed_window", "rate": "1000000000/s")");
    only_limit(R"("algorithm": "sliding_window", "rate": "999999999/s")");
}

TEST(Limits, Mistakes) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("rate": @"10")", "/limits/0/rate",
         R"("10" is not a rate (COUNT/UNIT, such as "10/s", "100/m" or "100/10s"; did you mean "10/s"?))"},
        {R"("rate": @"1/366d")", "/limits/0/rate", R"("1/366d" has a period of more than 365d)"},
        {R"("rate": @"1000000001/s")", "/limits/0/rate",
         R"("1000000001/s" is more than one each nanosecond)"},
        {R"("rate": @10)", "/limits/0/rate", "must be a rate, a string such as \"10/s\", not a number"},
        {R"("rate": @"4294967296/m")", "/limits/0/rate",
         "\"4294967296/m\" counts further than 4294967295 (the same rate in a smaller unit will do)"},
        {R"("rate": "1/s", "burst": @0)", "/limits/0/burst", "0 is not between 1 and 9223372036854775807"},
        {R"("rate": "1/s", "burst": @-1)", "/limits/0/burst", "-1 is negative"},
        {R"("rate": "1/365d", "burst": @147)", "/limits/0/burst",
         "an empty bucket of 147 would take more than 146 years to fill at \"1/365d\""},
        {R"("rate": "1/s", "status": @200)", "/limits/0/status", "200 is not between 400 and 599"},
        {R"("rate": "1/s", "mode": @"shadows")", "/limits/0/mode",
         R"("shadows" is not "enforce" or "shadow"; did you mean "shadow"?)"},
        {R"("rate": "1/s", "algorithm": @"token")", "/limits/0/algorithm",
         R"("token" is not "token_bucket", "fixed_window", "sliding_window" or "concurrency"; did you mean "token_bucket"?)"},
        {R"("rate": "1/s", "name": @"")", "/limits/0/name", "a name is not empty"},
        {R"("rate": "1/s", "name": @"naïve")", "/limits/0/name",
         "\"naïve\" is not a name (printable ASCII characters)"},
        {R"("rate": "1/s", "ipv4_prefix": @33)", "/limits/0/ipv4_prefix", "33 is not between 1 and 32"},
        {R"("rate": "1/s", "match": { @"pth": "/" })", "/limits/0/match/pth",
         R"(unknown key "pth"; did you mean "path"?)"},
        {R"("rate": "1/s", "match": { "listener": @"x" })", "/limits/0/match/listener",
         "no listener is named \"x\""},
    };
    for (const auto& [text, pointer, message] : rows) expect_error(limit_with(text), pointer, message);
    expect_error(with(R"("limits": [ @{ "burst": 3 } ])"), "/limits/0",
                 R"("rate" is missing (such as "rate": "10/s"))");
}

TEST(Limits, TheLongestFillThatTheLimiterTakesIsTaken) {
    EXPECT_EQ(only_limit(R"("rate": "1/365d", "burst": 146)").burst, 146U);
    EXPECT_EQ(only_limit(R"("rate": "4294967295/m")").burst, 4294967295U);
}

TEST(Limits, WhatDoesNotApplyIsNotSilentlyLeftAside) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"(@"max": 8)", "max",
         R"("max" goes with the algorithm "concurrency" alone; did you mean "burst"?)"},
        {R"(@"max_delay": "2s")", "max_delay", R"("max_delay" goes with the action "delay" alone)"},
        {R"("key": "global", @"ipv4_prefix": 24)", "ipv4_prefix",
         R"("ipv4_prefix" means nothing to a key without "ip")"},
        {R"("key": "header:A", "missing": "skip", @"ipv6_prefix": 24)", "ipv6_prefix",
         R"("ipv6_prefix" means nothing to a key without "ip")"},
        {R"("key": [ "ip", "path" ], @"missing": "skip")", "missing",
         R"("missing" is "skip", and the key has no header, cookie or query that could be missing)"},
    };
    for (const auto& [text, key, message] : rows)
        expect_error(limit_with(R"("rate": "1/s", )" + std::string(text)), "/limits/0/" + std::string(key),
                     message);
    only_limit(R"("rate": "1/s", "key": "header:A", "ipv4_prefix": 24)");  // of requests without the header
}

TEST(Limits, WhatSaysOnlyWhatIsSoIsTaken) {
    EXPECT_EQ(only_limit(R"("rate": "5/s", "action": "reject", "max_delay": "1s")"),
              only_limit(R"("rate": "5/s")"));
    for (const std::string algorithm : {"fixed_window", "sliding_window"}) {
        const std::string members = R"("rate": "5/s", "algorithm": ")" + algorithm + '"';
        EXPECT_EQ(only_limit(members + R"(, "burst": 5)"), only_limit(members));
    }
}

TEST(Limits, BansHaveDefaults) {
    EXPECT_EQ(only_limit(R"("rate": "1/s")").ban, (Ban{0, 0s, 0s})) << "none: never";
    EXPECT_EQ(only_limit(R"("rate": "1/s", "ban": {})").ban, (Ban{10, 1min, 15min}));
    EXPECT_EQ(only_limit(R"("rate": "1/s", "ban": { "after": 3, "for": "1h" })").ban, (Ban{3, 1min, 1h}));
    expect_error(limit_with(R"("rate": "1/s", "ban": { "after": @0 })"), "/limits/0/ban/after",
                 "0 is not between 1 and 1000000");
}

TEST(Limits, NamesAreUnique) {
    expect_error(with(R"("limits": [ { "rate": "1/s", "name": "x" }, { "rate": "2/s", "name": @"x" } ])"),
                 "/limits/1/name", "another limit is named \"x\" already");
    expect_error(with(R"("limits": [ { "rate": "1/s", "name": "limit-2" }, @{ "rate": "2/s" } ])"),
                 "/limits/1", "another limit is named \"limit-2\" already");
}

std::string joined(int count, const auto& each) {
    std::string out;
    for (int i = 0; i < count; ++i) out += (i > 0 ? "," : "") + each(std::to_string(i));
    return out;
}

double seconds_for(const auto& work) {
    const std::clock_t begin = std::clock();
    work();
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

/// What comparing each name with each would take; a sixteenth of it is done.
double seconds_for_comparing(int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(std::to_string(i));
    std::ptrdiff_t same = 0;
    const double seconds = seconds_for([&] {
        for (int i = 0; i < count / 16; ++i) same += std::ranges::count(names, names[count - 1 - i]);
    });
    EXPECT_EQ(same, count / 16);
    return seconds * 16;
}

TEST(Limits, AndWhateverElseHasANameAreJudgedInNoTimeHoweverMany) {
    constexpr int kMany = 50'000;
    const double each_with_each = seconds_for_comparing(kMany);
    const auto seconds_for_judging = [](const std::string& text) {
        EXPECT_LT(text.size(), 4 << 20);  // else it is not looked at
        return seconds_for([&] { errors_of(text); });
    };

    const auto limit = [](const std::string& i) { return R"({"rate":"1/s","name":")" + i + "\"}"; };
    const std::string limits = with("\"limits\":[" + joined(kMany, limit) + "]");
    EXPECT_LT(seconds_for_judging(limits), each_with_each / 2);

    const auto listener = [](const std::string& i) {
        return R"({"name":")" + i + R"(","address":"unix:/)" + i + "\"}";
    };
    const std::string listeners = with("\"listen\":[" + joined(kMany, listener) + "]");
    EXPECT_LT(seconds_for_judging(listeners), each_with_each / 2);

    const auto upstream = [](const std::string& i) { return "\"" + i + R"(":{"servers":["a:1"]})"; };
    const auto route = [](const std::string& i) {
        return R"({"upstream":")" + i + R"(","match":{"path":"/"}})";
    };
    const std::string routes =
        "{\"upstreams\":{" + joined(kMany, upstream) + "},\"routes\":[" + joined(kMany, route) + "]}";
    EXPECT_LT(seconds_for_judging(routes), each_with_each / 2);
}

TEST(Limits, AreAtMostThirtyTwo) {
    std::string limits;
    for (int i = 0; i < 32; ++i) limits += "{ \"rate\": \"1/s\" }, ";
    EXPECT_EQ(good(with("\"limits\": [ " + limits.substr(0, limits.size() - 2) + " ]")).limits.size(), 32U);
    expect_error(with("\"limits\": [ " + limits + "@{ \"rate\": \"1/s\" } ]"), "/limits/32",
                 "is one too many (at most 32 limits)");
}

}  // namespace
}  // namespace sluice::config
