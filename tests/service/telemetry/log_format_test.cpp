#include "service/telemetry/log_format.h"

#include <array>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::telemetry {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

const auto kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 2h + 3min + 4s + 56ms;

std::string line_of(const RequestOutcome& outcome, LogFormat format) {
    std::array<char, kAccessLineMax> buffer;
    return {buffer.data(), format_access_line(buffer, outcome, kNow, format)};
}

RequestOutcome forwarded() {
    return {.verdict = Verdict::allowed,
            .client = "192.0.2.7",
            .method = "GET",
            .host = "api.example.com",
            .target = "/v1/things?page=2",
            .request_id = "7f3c",
            .route = 3,
            .status = 200,
            .bytes_out = 512,
            .duration = 1'234'567ns,
            .upstream = "app",
            .server = "127.0.0.1:3000",
            .upstream_duration = 900us,
            .retries = 1};
}

TEST(AccessLine, TellsAForwardedRequestAsJson) {
    const json line = json::parse(line_of(forwarded(), LogFormat::json));
    EXPECT_EQ(line, json::parse(R"({
        "time": "2026-11-24T02:03:04.056Z", "event": "request", "client": "192.0.2.7", "method": "GET",
        "host": "api.example.com", "target": "/v1/things?page=2", "status": 200, "verdict": "allowed",
        "duration_seconds": 0.001234, "bytes_in": 0, "bytes_out": 512, "route": 3, "upstream": "app",
        "server": "127.0.0.1:3000", "upstream_seconds": 0.0009, "retries": 1, "request_id": "7f3c"})"));
}

TEST(AccessLine, TellsARefusalWithItsLimit) {
    RequestOutcome outcome;
    outcome.verdict = Verdict::limited;
    outcome.status = 429;
    outcome.limit = "per-ip";
    outcome.shadow_limited = true;
    const json line = json::parse(line_of(outcome, LogFormat::json));
    EXPECT_EQ(line.at("limit"), "per-ip");
    EXPECT_EQ(line.at("verdict"), "limited");
    EXPECT_EQ(line.at("shadow_limited"), true);
    EXPECT_FALSE(line.contains("upstream"));
    EXPECT_FALSE(line.contains("failure"));
}

TEST(AccessLine, TellsARequestAsText) {
    RequestOutcome outcome = forwarded();
    outcome.failure = UpstreamFailure::reset;
    outcome.client_aborted = true;
    outcome.upstream = "two words";
    EXPECT_EQ(
        line_of(outcome, LogFormat::text),
        "2026-11-24T02:03:04.056Z 192.0.2.7 \"GET api.example.com /v1/things?page=2\" 200 allowed 0.001234s "
        "bytes_in=0 bytes_out=512 route=3 upstream=\"two words\" server=127.0.0.1:3000 "
        "upstream_seconds=0.000900 "
        "failure=reset retries=1 client_aborted request_id=7f3c\n");
}

TEST(AccessLine, KeepsWhatIsUtf8AndReplacesWhatIsNot) {
    RequestOutcome outcome;
    outcome.target = "/caf\xc3\xa9/\xe2\x82\xac/\xf0\x9f\x98\x80/\xff/\xc3/\xed\xa0\x80";
    const json line = json::parse(line_of(outcome, LogFormat::json));
    EXPECT_EQ(line.at("target"),
              "/caf\xc3\xa9/\xe2\x82\xac/\xf0\x9f\x98\x80/\xef\xbf\xbd/\xef\xbf\xbd/"
              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(AccessLine, EscapesWhatATerminalObeysOrWhatReordersALine) {
    RequestOutcome outcome;
    outcome.target =
        "/\u0080\u009b31m\u009f|\u00a0|\u061c\u200e\u200f|\u2028\u2029\u202a\u202e|\u2066\u2069|\u202f\u2065";
    const std::string escaped =
        "/\\u0080\\u009b31m\\u009f|\u00a0|\\u061c\\u200e\\u200f|\\u2028\\u2029\\u202a\\u202e|\\u2066\\u2069|"
        "\u202f\u2065";
    for (const LogFormat format : {LogFormat::json, LogFormat::text})
        EXPECT_NE(line_of(outcome, format).find(escaped), std::string::npos) << line_of(outcome, format);
    EXPECT_EQ(json::parse(line_of(outcome, LogFormat::json)).at("target"), outcome.target);
}

TEST(AccessLine, CutsALongTargetAndSaysSo) {
    RequestOutcome outcome;
    const std::string target = "/" + std::string(5000, 'a');
    outcome.target = target;
    const json line = json::parse(line_of(outcome, LogFormat::json));
    const std::string told = line.at("target");
    EXPECT_EQ(told.size(), 2048U);
    EXPECT_TRUE(told.ends_with("…"));
    EXPECT_TRUE(told.starts_with("/aaa"));
}

TEST(AccessLine, KeepsAValueThatJustFits) {
    RequestOutcome outcome;
    const std::string target(2048, 'a');
    outcome.target = target;
    EXPECT_EQ(json::parse(line_of(outcome, LogFormat::json)).at("target"), target);
}

// Whatever a peer sends: one line, valid JSON, no control characters, and never longer than its buffer.
TEST(AccessLine, IsOneLineForEveryRandomOutcome) {
    std::mt19937 random(11);
    const auto bytes = [&](std::size_t most) {
        std::string s(random() % (most + 1), '\0');
        const unsigned kind = random() % 3;
        for (char& c : s)
            c = static_cast<char>(kind == 0 ? random() : kind == 1 ? random() % 32 : 'a' + random() % 26);
        return s;
    };
    for (int i = 0; i < 20'000; ++i) {
        const std::string client = bytes(200), method = bytes(64), host = bytes(400), target = bytes(5000),
                          id = bytes(300), limit = bytes(200), upstream = bytes(200), server = bytes(200);
        RequestOutcome outcome = forwarded();
        outcome.client = client, outcome.method = method, outcome.host = host, outcome.target = target;
        outcome.request_id = id, outcome.limit = limit, outcome.upstream = upstream;
        outcome.server = server, outcome.duration = runtime::Duration::max(), outcome.bytes_in = ~0ULL;
        outcome.bytes_out = ~0ULL, outcome.failure = UpstreamFailure::response_timeout,
        outcome.delayed = true;
        outcome.shadow_limited = outcome.client_aborted = true,
        outcome.upstream_duration = runtime::Duration::max();

        const std::string as_json = line_of(outcome, LogFormat::json);
        ASSERT_LT(as_json.size(), kAccessLineMax);
        ASSERT_EQ(as_json.find('\n'), as_json.size() - 1);
        ASSERT_TRUE(json::accept(as_json)) << as_json;

        const std::string as_text = line_of(outcome, LogFormat::text);
        ASSERT_LT(as_text.size(), kAccessLineMax);
        const auto control = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
        ASSERT_EQ(std::ranges::find_if(as_text, control) - as_text.begin(),
                  std::ptrdiff_t(as_text.size()) - 1);
    }
}

TEST(DroppedLine, SaysHowManyAreMissing) {
    std::array<char, kAccessLineMax> buffer;
    const std::size_t size = format_dropped_line(buffer, 42, kNow, LogFormat::json);
    EXPECT_EQ(json::parse(std::string_view(buffer.data(), size)).at("lines"), 42);
}

}  // namespace
}  // namespace sluice::telemetry
