// The whole file: defaults, the environment, keys, several errors at once.

#include <gtest/gtest.h>

#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

TEST(Parse, TheSmallestFile) {
    const Config config = good(
        R"({ "listen": "0.0.0.0:8080", "upstream": "127.0.0.1:3000", "limits": [ { "rate": "10/s", "burst": 20 } ] })");
    ASSERT_EQ(config.listen.size(), 1U);
    EXPECT_EQ(config.listen[0], (Listen{{"0.0.0.0:8080", "0.0.0.0", 8080, ""}, "0.0.0.0:8080", {}, false}));
    ASSERT_EQ(config.upstreams.size(), 1U);
    EXPECT_EQ(config.upstreams[0].name, "default");
    ASSERT_EQ(config.upstreams[0].servers.size(), 1U);
    EXPECT_EQ(config.upstreams[0].servers[0], (Server{{"127.0.0.1:3000", "127.0.0.1", 3000, ""}, 1, false}));
    ASSERT_EQ(config.routes.size(), 1U);
    EXPECT_EQ(config.routes[0].match, Match{});
    EXPECT_EQ(config.routes[0].upstream, "default");
    ASSERT_EQ(config.limits.size(), 1U);
    EXPECT_EQ(config.limits[0].name, "limit-1");
    EXPECT_EQ(config.limits[0].rate, (Rate{10, 1s, "10/s"}));
    EXPECT_EQ(config.limits[0].burst, 20U);
}

TEST(Parse, WhatIsLeftOutHasTheDefaultsOfTheContract) {
    const Config config = good(R"({ "upstream": "127.0.0.1:3000" })");
    EXPECT_EQ(config.listen[0].address.text, "0.0.0.0:8080");
    const Upstream& upstream = config.upstreams[0];
    EXPECT_EQ(upstream.balance, Balance::round_robin);
    EXPECT_EQ(upstream.connect_timeout, 1s);
    EXPECT_EQ(upstream.response_timeout, 30s);
    EXPECT_EQ(upstream.stall_timeout, 30s);
    EXPECT_EQ(upstream.idle_timeout, 60s);
    EXPECT_EQ(upstream.max_idle, 128U);
    EXPECT_EQ(upstream.max_connections, 1024U);
    EXPECT_EQ(upstream.retries, 1U);
    EXPECT_FALSE(upstream.tls || upstream.health);
    EXPECT_EQ(upstream.eject, (Eject{5, 10s}));
    EXPECT_EQ(config.routes[0].host, HostPolicy::preserve);
    EXPECT_TRUE(config.client.trusted_proxies.empty());
    EXPECT_EQ(config.client.address_from, AddressFrom::x_forwarded_for);
    EXPECT_EQ(config.client.ipv4_prefix, 32U);
    EXPECT_EQ(config.client.ipv6_prefix, 64U);
    EXPECT_TRUE(config.allow.empty() && config.deny.empty() && config.limits.empty());
    EXPECT_EQ(config.response, (Response{BodyFormat::problem, "", "", RateHeaders::standard}));
    EXPECT_EQ(config.clients, (Clients{1'000'000, 3min, 1min}));
    EXPECT_FALSE(config.redis);
    EXPECT_EQ(config.timeouts, (Timeouts{10s, 30s, 30s, 75s, 10s}));
    EXPECT_EQ(config.max, (Maxima{16384, 100, kUnlimited, 20000, 0}));
    ASSERT_TRUE(config.admin);
    EXPECT_EQ(*config.admin, (Admin{{"127.0.0.1:9900", "127.0.0.1", 9900, ""}, ""}));
    EXPECT_FALSE(config.check);
    EXPECT_EQ(config.log, (Log{LogLevel::info, AccessLog::all, LogFormat::json}));
    EXPECT_EQ(config.runtime, (Runtime{0, 256 * 1024}));
}

TEST(Parse, ALimitsDefaults) {
    const Limit limit = only_limit(R"("rate": "7/m")");
    EXPECT_EQ(limit.name, "limit-1");
    EXPECT_EQ(limit.match, Match{});
    EXPECT_FALSE(limit.ipv4_prefix || limit.ipv6_prefix);
    EXPECT_EQ(limit.key, std::vector<KeyPart>{KeyPart{}});
    EXPECT_EQ(limit.missing, Missing::ip);
    EXPECT_EQ(limit.algorithm, Algorithm::token_bucket);
    EXPECT_EQ(limit.burst, 7U) << "the rate's count";
    EXPECT_EQ(limit.cost, (Cost{1, "", 100, {}}));
    EXPECT_EQ(limit.mode, Mode::enforce);
    EXPECT_EQ(limit.action, Action::reject);
    EXPECT_EQ(limit.max_delay, 1s);
    EXPECT_EQ(limit.status, 429U);
    EXPECT_EQ(limit.ban.after, 0U);
}

TEST(Parse, WritingTheDefaultsOutChangesNothing) {
    const Config written = good(R"({
      "listen": [ { "address": "0.0.0.0:8080", "proxy_protocol": false } ], "upstream": "127.0.0.1:3000", "upstreams": {}, "routes": [],
      "client": { "trusted_proxies": [], "address_from": "x-forwarded-for", "ipv4_prefix": 32, "ipv6_prefix": 64 }, "allow": [], "deny": [],
      "limits": [], "response": { "body": "problem", "headers": "standard" },
      "clients": { "max": 1000000, "idle_after": "3m", "sweep_every": "1m" }, "store": "memory",
      "timeouts": { "head": "10s", "body": "30s", "write": "30s", "keep_alive": "75s", "drain": "10s", "tunnel": "1h" },
      "max": { "head": "16KiB", "headers": 100, "body": "unlimited", "connections": 20000, "requests_per_connection": 0 },
      "admin": { "address": "127.0.0.1:9900", "token": "" }, "log": { "level": "info", "access": "all", "format": "json" },
      "runtime": { "workers": 0, "stack": "256KiB" }, "$schema": "x" })");
    Config plain = good(R"({ "upstream": "127.0.0.1:3000" })");
    plain.client.address_header = "x-forwarded-for";  // the field's name as written
    EXPECT_EQ(written, plain);
}

TEST(Parse, VariablesStandForAnythingInAString) {
    const Environment environment{{"PORT", "81"},  {"N", "5"},       {"ON", "true"},
                                  {"RATE", "2/s"}, {"SIZE", "2048"}, {"MODE", "shadow"}};
    const Config config = good(
        R"({ "upstream": "${HOST:-app}:${PORT}", "limits": [ { "rate": "${RATE}", "burst": "${N}", "mode": "${MODE}", "cost": "${N}" } ],
                                   "max": { "head": "${SIZE}", "headers": "${N}" } })",
        environment);
    EXPECT_EQ(config.upstreams[0].servers[0].address.text, "app:81");
    EXPECT_EQ(config.limits[0].burst, 5U);
    EXPECT_EQ(config.limits[0].cost.fixed, 5U);
    EXPECT_EQ(config.limits[0].mode, Mode::shadow);
    EXPECT_EQ(config.limits[0].rate.count, 2U);
    EXPECT_EQ(config.max.head, 2048U);
    EXPECT_EQ(config.max.headers, 5U);
}

TEST(Parse, AnUnsetVariableIsOneError) {
    expect_error("{\n \"upstream\": @\"${NONE}\"\n}", "/upstream",
                 "the environment variable NONE is not set (${NONE:-default} gives it a default)");
    expect_error(limit_with(R"("rate": @"${NONE}", "burst": 5)"), "/limits/0/rate",
                 "the environment variable NONE is not set (${NONE:-default} gives it a default)");
    expect_error(with(R"("deny": [ "::1", @"${NONE}" ])"), "/deny/1",
                 "the environment variable NONE is not set (${NONE:-default} gives it a default)");
    expect_error(with(R"("routes": @"${NONE}")"), "/routes",
                 "the environment variable NONE is not set (${NONE:-default} gives it a default)");
}

TEST(Parse, AVariableInTheDefaultOfAnotherIsOneError) {
    expect_error("{\n \"upstream\": @\"${A:-${B}}\"\n}", "/upstream", "a default cannot hold another ${…}",
                 {{"A", "a:1"}});
}

TEST(Parse, AVariableInAKeyIsOneError) {
    expect_error(with(R"(@"${A}": [])"), "/${A}", "names are not expanded: write the key out", {{"A", "x"}});
    expect_error(R"({ "upstreams": { @"${A}": { "servers": [ "a:1" ] } }, "routes": [ { "respond": {} } ] })",
                 "/upstreams/${A}", "names are not expanded: write the key out", {{"A", "x"}});
    expect_error(with(R"("routes": [ { "match": { "path": "/x", "header": { @"${A:-X}": "1" } },
                                      "respond": {} } ])"),
                 "/routes/0/match/header/${A:-X}", "names are not expanded: write the key out");
}

TEST(Parse, AnErrorIsOneLineWhateverTheKeyHolds) {
    EXPECT_EQ(lines(errors_of(with(R"("a\n\u001b[31m\u0085\u202e\\": 1)"))),
              "f:1:22: /a\\u000a\\u001b[31m\\u0085\\u202e\\: unknown key "
              "\"a\\u000a\\u001b[31m\\u0085\\u202e\\\"\n");
}

TEST(Parse, WhatAVariableHoldsIsChecked) {
    expect_error(
        "{ \"upstream\": @\"a:${PORT}\" }", "/upstream",
        R"("a:99999" is not an address of a server (HOST:PORT or unix:/PATH, such as "127.0.0.1:3000" or "app:3000"))",
        {{"PORT", "99999"}});
    expect_error(limit_with(R"("rate": "1/s", "burst": @"${N}")"), "/limits/0/burst",
                 "\"many\" is not a whole number", {{"N", "many"}});
}

TEST(Parse, UnknownKeysAreErrorsWithTheNearestOne) {
    expect_error(with(R"(@"colour": "red")"), "/colour", "unknown key \"colour\"");
    expect_error(with(R"(@"limts": [])"), "/limts", R"(unknown key "limts"; did you mean "limits"?)");
    expect_error(with(R"(@"Limits": [])"), "/Limits", R"(unknown key "Limits"; did you mean "limits"?)");
    expect_error(limit_with(R"("rate": "1/s", @"brust": 2)"), "/limits/0/brust",
                 R"(unknown key "brust"; did you mean "burst"?)");
    expect_error(upstream_with(R"(@"conect_timeout": "1s")"), "/upstreams/app/conect_timeout",
                 R"(unknown key "conect_timeout"; did you mean "connect_timeout"?)");
    expect_error(with(R"("runtime": { @"threads": 4 })"), "/runtime/threads",
                 R"(unknown key "threads" ("workers" or "stack"))");
    // Of a section, one level too high.
    expect_error(with(R"(@"trusted_proxies": [])"), "/trusted_proxies",
                 R"(unknown key "trusted_proxies"; it belongs into "client")");
    expect_error(with(R"(@"address_from": "Forwarded")"), "/address_from",
                 R"(unknown key "address_from"; it belongs into "client")");
    expect_error(with(R"(@"head": "1s")"), "/head",
                 R"(unknown key "head"; it belongs into "timeouts" or "max")");
    for (const std::string key : {"host", "path", "path_prefix", "method", "listener"})
        expect_error(limit_with("\"rate\": \"1/s\", @\"" + key + "\": \"a\""), "/limits/0/" + key,
                     "unknown key \"" + key + R"("; it belongs into "match")");
    expect_error(limit_with(R"("rate": "1/s", @"header": {})"), "/limits/0/header",
                 R"(unknown key "header"; it belongs into "match" or "cost")");
    expect_error(with(R"("routes": [ { "respond": {}, @"path": "/" } ])"), "/routes/0/path",
                 R"(unknown key "path"; it belongs into "match")");
    expect_error(with(R"(@"a/b~c": 1)"), "/a~1b~0c", "unknown key \"a/b~c\"");
}

TEST(Parse, AKeyTwiceIsAnError) {
    expect_error("{ \"upstream\": \"a:1\",\n @\"upstream\": \"b:1\" }", "/upstream",
                 "the key \"upstream\" is there twice");
    expect_error(
        R"({ "upstreams": { "a": { "servers": [ "a:1" ] }, @"a": { "servers": [ "a:1" ] } }, "routes": [ { "upstream": "a" } ] })",
        "/upstreams/a", "the key \"a\" is there twice");
    expect_error(
        with(
            R"("routes": [ { "match": { "path": "/x", "header": { "X": "1", @"X": "1" } }, "respond": {} } ])"),
        "/routes/0/match/header/X", "the key \"X\" is there twice");
}

TEST(Parse, WrongTypesAreNamed) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("listen": @8080)", "/listen",
         "must be an address, a string such as \"0.0.0.0:8080\", not a number"},
        {R"("upstreams": @[])", "/upstreams",
         R"(must be an object of names and upstreams, such as { "app": { "servers": [ "127.0.0.1:3000" ] } }, not an array)"},
        {R"("routes": @{})", "/routes", "must be an array, not an object"},
        {R"("client": @true)", "/client", "must be an object, not true or false"},
        {R"("allow": @"::1")", "/allow", "must be an array, not a string"},
        {R"("deny": [ @1 ])", "/deny/0",
         "must be an address block, a string such as \"10.0.0.0/8\", not a number"},
        {R"("limits": @{ "rate": "1/s" })", "/limits", "must be an array, not an object"},
        {R"("limits": [ @"1/s" ])", "/limits/0", "must be an object, not a string"},
        {R"("timeouts": { "head": @10 })", "/timeouts/head",
         "must be a duration, a string such as \"10s\" or \"250ms\", not a number"},
        {R"("max": { "head": @true })", "/max/head",
         "must be a size, bytes or a string such as \"64KiB\", not true or false"},
        {R"("max": { "headers": @"100" })", "/max/headers", "must be a whole number, not a string"},
        {R"("max": { "headers": @1.5 })", "/max/headers", "\"1.5\" is not a whole number"},
        {R"("max": { "headers": @1e2 })", "/max/headers", "\"1e2\" is not a whole number"},
        {R"("max": { "headers": @-1 })", "/max/headers", "-1 is negative"},
        {R"("max": { "requests_per_connection": @99999999999999999999 })", "/max/requests_per_connection",
         "99999999999999999999 is too large"},
        {R"("runtime": { "workers": @5000000000 })", "/runtime/workers", "5000000000 is too large"},
        {R"("log": @null)", "/log", "must be an object, not null"},
    };
    for (const auto& [text, pointer, message] : rows) expect_error(with(text), pointer, message);
}

TEST(Parse, AllMistakesComeAtOnceInTheOrderOfTheText) {
    EXPECT_EQ(lines(errors_of("{\n  \"upstream\": 1,\n  \"limts\": [],\n  \"deny\": [ \"x\" ],\n  "
                              "\"timeouts\": { \"head\": \"soon\", \"tail\": \"1s\" }\n}")),
              "f:2:15: /upstream: must be the address of a server, a string such as \"127.0.0.1:3000\", not "
              "a number\n"
              "f:3:3: /limts: unknown key \"limts\"; did you mean \"limits\"?\n"
              "f:4:13: /deny/0: \"x\" is not an address block (such as \"10.0.0.0/8\", \"2001:db8::/32\" or "
              "\"192.0.2.7\")\n"
              "f:5:25: /timeouts/head: \"soon\" is not a duration (above 0 and at most 3650d, such as "
              "\"250ms\", \"1.5s\" or \"1h30m\")\n"
              "f:5:33: /timeouts/tail: unknown key \"tail\" (\"head\", \"body\", \"write\", \"keep_alive\", "
              "\"drain\" or \"tunnel\")\n");
}

TEST(Parse, AValueIsComplainedAboutOnce) {
    expect_error(limit_with(R"("rate": @"0/s", "burst": 5, "cost": 9)"), "/limits/0/rate",
                 R"("0/s" counts nothing (1 is the least))");
}

TEST(Parse, NothingToServeIsAnError) {
    expect_error("@{}", "", R"("upstream" is missing (such as "upstream": "127.0.0.1:3000"))");
    expect_error(R"({ "routes": @[] })", "/routes",
                 R"(no route, and no "upstream": nothing would be served)");
    expect_error(R"({ "upstreams": @{ "app": { "servers": [ "a:1" ] } } })", "/upstreams",
                 R"(no route leads here (such as "routes": [ { "upstream": "app" } ]))");
    good(R"({ "routes": [ { "respond": {} } ] })");
}

}  // namespace
}  // namespace sluice::config
