#include "service/policy/refusal_body.h"

#include <array>

#include <nlohmann/json.hpp>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using config::BodyFormat;

Verdict refusal(House& house, const Head& head = Head()) {
    house.decide(head);
    Verdict verdict = house.decide(head);
    EXPECT_NE(verdict.refused_by, nullptr);
    return verdict;
}

std::string body(const Verdict& verdict, const config::Response& response, std::string_view type) {
    std::array<char, 4096> room;
    const RefusalBody body = write_refusal_body(verdict, response, room);
    EXPECT_EQ(body.content_type, type);
    EXPECT_EQ(refusal_body_size(verdict, response), body.body.size());
    return std::string(body.body);
}

TEST(RefusalBody, ProblemSaysWhatTheContractSays) {
    House house({limit_of("per-ip", 1, 3s, 1)});
    auto problem = nlohmann::json::parse(body(refusal(house), {}, "application/problem+json"));
    EXPECT_TRUE(problem.at("detail").is_string());
    problem.erase("detail");
    EXPECT_EQ(problem, nlohmann::json::parse(
                           R"({"type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests", "status": 429, "violated-policies": ["per-ip"], "retry_after": 3})"));
}

TEST(RefusalBody, ProblemFollowsTheStatusOfTheLimit) {
    config::Limit limit = limit_of("a \"name\" \\ of its own", 1, 1h, 1);
    limit.status = 503;
    House house({limit});
    const auto problem = nlohmann::json::parse(body(refusal(house), {}, "application/problem+json"));
    EXPECT_EQ(problem.at("title"), "Service Unavailable");
    EXPECT_EQ(problem.at("status"), 503);
    EXPECT_EQ(problem.at("violated-policies").at(0), limit.name);
}

TEST(RefusalBody, Text) {
    House house({limit_of("per-ip", 1, 1s, 1)});
    EXPECT_EQ(body(refusal(house), {.format = BodyFormat::text}, "text/plain; charset=utf-8"),
              "Too Many Requests: try again in 1 second.\n");
}

TEST(RefusalBody, CustomFillsInTheThreeNamesAndNothingElse) {
    config::Limit limit = limit_of("per-net", 1, 3s, 1);
    limit.ipv4_prefix = 24;
    House house({limit});
    const config::Response response{
        .format = BodyFormat::custom,
        .content_type = "application/json",
        .body = R"({"limit":"{limit}","after":{retry_after},"{key}":{"x":{}}} {nothing} {)"};
    EXPECT_EQ(body(refusal(house), response, "application/json"),
              R"({"limit":"per-net","after":3,"192.0.2.0/24":{"x":{}}} {nothing} {)");
}

TEST(RefusalBody, CustomNeverShowsASecretInClear) {
    config::Limit limit = limit_of("by-key", 1, 3s, 1);
    limit.key = {{config::KeyKind::header, "X-Api-Key"}};
    House house({limit});
    const config::Response response{
        .format = BodyFormat::custom, .content_type = "text/plain", .body = "{key}"};
    const std::string shown =
        body(refusal(house, Head("GET / HTTP/1.1", "X-Api-Key: s3cret\r\n")), response, "text/plain");
    EXPECT_TRUE(shown.starts_with("header:X-Api-Key#"));
    EXPECT_FALSE(shown.contains("s3cret"));
}

TEST(RefusalBody, WhatDoesNotFitIsLeftOut) {
    House house({limit_of("per-ip", 1, 1s, 1)});
    std::array<char, 64> room;
    EXPECT_EQ(write_refusal_body(refusal(house), {}, room).body, "");
}

}  // namespace
}  // namespace sluice::policy
