#include "service/commands/stats_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::commands {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kStats = R"({
  "version": "0.1.0", "uptime_seconds": 7300, "ready": true,
  "connections": {"open": 3, "accepted": 1234567, "refused": 0},
  "requests": {"total": 120, "in_flight": 1, "allowed": 100, "limited": 20, "delayed": 0, "shadow_limited": 0,
               "denied": 0, "banned": 0, "by_status": {"200": 100, "429": 20}},
  "latency_seconds": {"p50": 0.00042, "p90": 0.0021, "p99": 0.25, "p999": 3.5},
  "limits": [{"name": "per-ip", "algorithm": "token_bucket", "rate": "10/s", "burst": 20, "allowed": 100, "limited": 20,
              "clients": 4}],
  "clients": {"tracked": 4, "max": 1000000, "evicted_idle": 0, "evicted_full": 0, "bytes": 4096},
  "janitor": {"sweeps": 1, "last_sweep_seconds": 0.00001, "longest_pause_seconds": 0.000002, "removed": 0,
              "next_in_seconds": 42.0},
  "upstreams": [{"name": "default", "servers": [{"address": "127.0.0.1:3000", "healthy": true, "requests": 100,
                 "failures": 0, "in_flight": 1, "connections_open": 2, "connections_idle": 1, "weight": 2},
                {"address": "127.0.0.1:3001", "healthy": false, "weight": 3},
                {"address": "127.0.0.1:3002", "healthy": false, "weight": 1, "backup": true,
                 "ejected_until": "2026-11-24T18:00:00Z"}]}],
  "runtime": {"workers": 2, "tasks": {"live": 9, "spawned": 140, "peak": 12}, "steals": 3, "parks": 1,
              "blocking_jobs": 0, "stack_bytes": 73728}})";

TEST(StatsTable, ShowsWhatThereIsToSee) {
    const std::string table = stats_table(kStats);
    EXPECT_THAT(
        table,
        HasSubstr("sluice 0.1.0   ready   up 2 h 1 min   connections 3 open, 1,234,567 accepted, 0 refused"));
    EXPECT_THAT(table, HasSubstr("  limited            20\n"));
    EXPECT_THAT(table, HasSubstr("200: 100  429: 20"));
    EXPECT_THAT(table, HasSubstr("p50 420 us   p90 2.1 ms   p99 250.0 ms   p99.9 3.5 s"));
    EXPECT_THAT(table, HasSubstr("per-ip  token_bucket  10/s     20      100       20        4\n"));
    EXPECT_THAT(table, HasSubstr("default   127.0.0.1:3000  up              2       100"));
    EXPECT_THAT(table, HasSubstr("127.0.0.1:3001  DOWN            3"));
    EXPECT_THAT(table, HasSubstr("127.0.0.1:3002  EJECTED  1 backup"));
    EXPECT_THAT(table, HasSubstr("4 of 1,000,000 tracked, 4.0 KiB"));
    EXPECT_THAT(table, HasSubstr("stacks 72.0 KiB"));
    EXPECT_THAT(table, Not(HasSubstr("per second")));
}

TEST(StatsTable, TellsWhatALimitDelayedWhereAnyDid) {
    auto stats = nlohmann::json::parse(kStats);
    EXPECT_THAT(stats_table(stats.dump()), HasSubstr("  allowed  limited  clients\n"));
    stats["limits"][0]["delayed"] = 15;
    stats["limits"].push_back({{"name", "never"}, {"algorithm", "concurrency"}, {"max", 8}, {"delayed", 0}});
    const std::string table = stats_table(stats.dump());
    EXPECT_THAT(table, HasSubstr("  allowed  limited  delayed  clients\n"));
    EXPECT_THAT(table, HasSubstr("     100       20       15        4\n"));
    EXPECT_THAT(table, HasSubstr("       0        0        0        0\n"));
}

TEST(StatsTable, TellsOfAReloadOnlyWhenTheLastFailed) {
    auto stats = nlohmann::json::parse(kStats);
    EXPECT_THAT(stats_table(stats.dump()), Not(HasSubstr("RELOAD")));
    for (const auto& ok : {nlohmann::json(), nlohmann::json(true)}) {
        stats["config"] = {{"reloads", 1}, {"last_reload_ok", ok}};
        EXPECT_THAT(stats_table(stats.dump()), Not(HasSubstr("RELOAD")));
    }
    stats["config"] = {{"last_reload_ok", false}, {"last_reload_seconds_ago", 130}};
    EXPECT_THAT(stats_table(stats.dump()),
                HasSubstr("refused\nconfig       THE LAST RELOAD FAILED 2 min ago: "));
}

TEST(StatsTable, TellsRatesBetweenTwoAnswers) {
    auto later = nlohmann::json::parse(kStats);
    later["requests"]["total"] = 620;
    later["requests"]["limited"] = 23;
    const std::string table = stats_table(later.dump(), kStats, 2.0);
    EXPECT_THAT(table, HasSubstr("requests            620         250\n"));
    EXPECT_THAT(table, HasSubstr("  limited            23         1.5\n"));
}

TEST(StatsTable, ARestartBetweenTwoAnswersIsNoNegativeRate) {
    auto later = nlohmann::json::parse(kStats);
    later["requests"]["total"] = 0;
    EXPECT_THAT(stats_table(later.dump(), kStats, 1.0), Not(HasSubstr(" -")));
}

TEST(StatsTable, AShadowLimitTellsWhatItWouldHaveLimited) {
    auto stats = nlohmann::json::parse(kStats);
    stats["limits"][0].update({{"mode", "shadow"}, {"limited", 0}, {"shadow_limited", 7}});
    EXPECT_THAT(stats_table(stats.dump()),
                HasSubstr("per-ip (shadow)  token_bucket  10/s     20      100        7        4\n"));
}

TEST(StatsTable, AConcurrencyLimitHasNeitherRateNorBurst) {
    auto stats = nlohmann::json::parse(kStats);
    stats["limits"][0] = {{"name", "slots"}, {"algorithm", "concurrency"}, {"max", 8}, {"allowed", 5}};
    EXPECT_THAT(stats_table(stats.dump()), HasSubstr("slots  concurrency     8      -        5        0"));
}

TEST(StatsTable, NamesAreShownAndNotObeyed) {
    auto stats = nlohmann::json::parse(kStats);
    stats["limits"][0]["name"] = "caf\u00e9\u001b[2J";
    EXPECT_THAT(stats_table(stats.dump()), HasSubstr("\ncaf\u00e9?[2J  token_bucket"));
    EXPECT_THAT(stats_table(stats.dump()), HasSubstr("\nlimit     algorithm "));
}

TEST(StatsTable, TakesAnAnswerThatLacksFields) {
    EXPECT_THAT(stats_table("{}"), HasSubstr("NOT READY"));
    EXPECT_THAT(stats_table(R"({"requests": 5, "limits": {}, "upstreams": [3]})"), HasSubstr("NOT READY"));
}

}  // namespace
}  // namespace sluice::commands
