#include "service/admin/stats.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/service/admin/example_stats.h"

namespace sluice::admin {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// Every name that the interface promises, with the type of its value.
void expect_shape(const json& expected, const json& actual, const std::string& where) {
    ASSERT_EQ(expected.is_number(), actual.is_number()) << where;
    ASSERT_TRUE(expected.is_number() || expected.type() == actual.type()) << where;
    if (expected.is_object()) {
        for (const auto& [name, value] : expected.items()) {
            ASSERT_TRUE(actual.contains(name)) << where << "/" << name;
            expect_shape(value, actual.at(name), where + "/" + name);
        }
    }
    if (expected.is_array()) {
        ASSERT_FALSE(actual.empty()) << where;
        expect_shape(expected.at(0), actual.at(0), where + "/0");
    }
}

TEST(StatsJson, HasEveryNameThatUsersRelyOn) {
    const json promised = json::parse(R"({
      "version": "0.1.0", "uptime_seconds": 12.3, "ready": true,
      "connections": { "open": 3, "accepted": 9, "refused": 0 },
      "requests": { "total": 120, "in_flight": 1, "allowed": 100, "limited": 20, "delayed": 0, "shadow_limited": 0,
                    "denied": 0, "banned": 0, "by_status": { "200": 100, "429": 20 } },
      "latency_seconds": { "p50": 0.001, "p90": 0.002, "p99": 0.004, "p999": 0.01 },
      "limits": [ { "name": "per-ip", "algorithm": "token_bucket", "rate": "10/s", "burst": 20, "allowed": 100,
                    "limited": 20, "clients": 4 } ],
      "clients": { "tracked": 4, "max": 1000000, "evicted_idle": 0, "evicted_full": 0, "bytes": 4096 },
      "janitor": { "sweeps": 1, "last_sweep_seconds": 0.00001, "longest_pause_seconds": 0.000002, "removed": 0,
                   "next_in_seconds": 42.0 },
      "upstreams": [ { "name": "default", "servers": [ { "address": "127.0.0.1:3000", "healthy": true, "requests": 100,
                       "failures": 0, "in_flight": 1, "connections_open": 2, "connections_idle": 1 } ] } ],
      "runtime": { "workers": 2, "tasks": { "live": 9, "spawned": 140, "peak": 12 }, "steals": 3, "parks": 1,
                   "blocking_jobs": 0, "stack_bytes": 73728 } })");
    expect_shape(promised, json::parse(to_json(example_stats())), "");
}

TEST(StatsJson, TellsTheFiguresThatWereCounted) {
    const json stats = json::parse(to_json(example_stats()));
    EXPECT_EQ(
        stats["connections"],
        json::parse(R"({"open": 2, "accepted": 3, "refused": 1, "handshakes_failed": 2, "tunnels": 0})"));
    EXPECT_EQ(stats["requests"]["total"], 120);
    EXPECT_EQ(stats["requests"]["in_flight"], 1);
    EXPECT_EQ(stats["requests"]["by_status"], json::parse(R"({"200": 100, "429": 20})"));
    EXPECT_NEAR(stats["latency_seconds"]["p50"].get<double>(), 0.002, 0.0001);
    EXPECT_NEAR(stats["latency_seconds"]["own"]["p999"].get<double>(), 20e-6, 1e-6);
    EXPECT_EQ(stats["limits"][1]["max"], 8);
    EXPECT_FALSE(stats["limits"][1].contains("rate"));
    EXPECT_EQ(stats["upstreams"][0]["servers"][0]["requests"], 100);
    EXPECT_EQ(stats["access_log"]["dropped"], 1);
    EXPECT_EQ(stats["runtime"]["scheduling_delay_seconds"],
              json::parse(R"({"p50": 5e-6, "p99": 5e-6, "p999": 1e-3, "samples": 100})"));
}

TEST(StatsJson, TellsHowItWentWithReloads) {
    EXPECT_EQ(json::parse(to_json(example_stats()))["config"],
              json::parse(R"({"reloads": 5, "reloads_failed": 2, "last_reload_ok": false,
                              "last_reload_seconds_ago": 1.5, "last_success_seconds_ago": 60.0})"));
    EXPECT_EQ(json::parse(to_json(Stats()))["config"],
              json::parse(R"({"reloads": 0, "reloads_failed": 0, "last_reload_ok": null,
                              "last_reload_seconds_ago": null, "last_success_seconds_ago": null})"));
}

TEST(StatsJson, TellsWhyAServerGetsNoRequests) {
    const json stats = json::parse(to_json(example_stats()));
    const json& servers = stats["upstreams"][0]["servers"];
    EXPECT_EQ(servers[0]["ejected_until"], nullptr);
    EXPECT_EQ(servers[1]["healthy"], false);
    EXPECT_EQ(servers[1]["ejected_until"], "2026-11-24T18:00:01.500Z");
    EXPECT_EQ(servers[1]["ejections"], 2);
    EXPECT_EQ(servers[1]["checks"], 9);
    EXPECT_EQ(servers[1]["checks_failed"], 4);
    EXPECT_EQ(servers[1]["weight"], 3);
    EXPECT_EQ(servers[1]["backup"], true);
}

TEST(StatsJson, OfAServiceThatDidNothingIsWhole) {
    const json stats = json::parse(to_json(Stats()));
    EXPECT_EQ(stats["requests"]["by_status"], json::object());
    EXPECT_EQ(stats["limits"], json::array());
    EXPECT_EQ(stats["upstreams"], json::array());
    EXPECT_EQ(stats["latency_seconds"]["p99"], 0.0);
}

TEST(StatsJson, SurvivesANameThatIsNotUtf8) {
    Stats stats = example_stats();
    stats.limits[0].name = "caf\xe9";
    EXPECT_EQ(json::parse(to_json(stats))["limits"][0]["name"], "caf\uFFFD");
}

TEST(ClientsJson, TellsBansAsATimeOfDay) {
    const ClientList list{{{.key = "192.0.2.1",
                            .limit = "per-ip",
                            .allowed = 5,
                            .denied = 2,
                            .remaining = 3,
                            .last_seen = 1500ms,
                            .banned_for = 15min},
                           {.key = "192.0.2.2", .limit = "per-ip"}},
                          7};
    const auto now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 24) + 2h;
    EXPECT_EQ(json::parse(to_json(list, now)), json::parse(R"({"total": 7, "clients": [
        {"key": "192.0.2.1", "limit": "per-ip", "allowed": 5, "denied": 2, "remaining": 3.0, "last_seen_seconds": 1.5,
         "banned_until": "2026-11-24T02:15:00.000Z"},
        {"key": "192.0.2.2", "limit": "per-ip", "allowed": 0, "denied": 0, "remaining": 0.0, "last_seen_seconds": 0.0,
         "banned_until": null}]})"));
}

}  // namespace
}  // namespace sluice::admin
