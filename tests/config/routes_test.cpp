#include <gtest/gtest.h>

#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

/// One route with these members, and the upstream "app".
std::string route_with(std::string_view members) {
    return R"({ "upstreams": { "app": { "servers": [ "a:1" ] } }, "routes": [ { )" + std::string(members) +
           " } ] }";
}

Route only_route(std::string_view members) {
    return good(route_with(members)).routes.at(0);
}

/// The same with this condition.
std::string match_with(std::string_view condition) {
    return route_with(R"("upstream": "app", "match": { )" + std::string(condition) + " }");
}

TEST(Routes, MatchByEveryConditionOfTheContract) {
    const Match match =
        good(
            R"({ "listen": [ { "address": "127.0.0.1:1", "name": "inside" } ], "upstream": "a:1", "routes": [ { "respond": {}, "match": {
        "listener": "inside", "host": "api.example.com", "path": "/exact", "path_prefix": "/ex", "path_regex": "^/v[0-9]+/", "method": [ "GET", "PUT" ],
        "header": { "X-Beta": "1", "X-A": "" } } } ] })")
            .routes.at(0)
            .match;
    EXPECT_EQ(match.listener, "inside");
    EXPECT_EQ(match.host, "api.example.com");
    EXPECT_EQ(match.path, "/exact");
    EXPECT_EQ(match.path_prefix, "/ex");
    EXPECT_EQ(match.path_regex, "^/v[0-9]+/");
    EXPECT_EQ(match.methods, (std::vector<std::string>{"GET", "PUT"}));
    EXPECT_EQ(match.headers,
              (std::vector<std::pair<std::string, std::string>>{{"X-Beta", "1"}, {"X-A", ""}}));
    EXPECT_EQ(only_route(R"("upstream": "app", "match": { "method": "PURGE" })").match.methods,
              std::vector<std::string>{"PURGE"});
}

TEST(Routes, GoToAnUpstream) {
    const Route route = only_route(
        R"("upstream": "app", "match": { "path_prefix": "/api/" }, "strip_prefix": "/api", "host": "upstream")");
    EXPECT_EQ(route.upstream, "app");
    EXPECT_FALSE(route.respond);
    EXPECT_EQ(route.strip_prefix, "/api");
    EXPECT_EQ(route.host, HostPolicy::upstream);
}

TEST(Routes, ShowTheUpstreamAHost) {
    EXPECT_EQ(only_route(R"("upstream": "app", "host": "preserve")").host, HostPolicy::preserve);
    for (const char* host :
         {"a.example", "a.example:81", "[::1]:80", "app", "upstream:80", "upstreamserver"}) {
        const Route route = only_route(R"("upstream": "app", "host": ")" + std::string(host) + "\"");
        EXPECT_EQ(route.host, HostPolicy::literal);
        EXPECT_EQ(route.host_literal, host);
    }
}

TEST(Routes, RespondThemselves) {
    EXPECT_EQ(only_route(R"("respond": {})").respond, (Respond{200, {}, ""}));
    EXPECT_EQ(only_route(R"("respond": { "status": 418, "headers": { "X-A": "1" }, "body": "pot" })").respond,
              (Respond{418, {{"X-A", "1"}}, "pot"}));
    EXPECT_EQ(only_route(R"("respond": { "status": 204 })").respond->status, 204U);
}

TEST(Routes, TheShorthandComesAfterAllOthers) {
    const Config config = good(with(
        R"("routes": [ { "match": { "path": "/ping" }, "respond": {} }, { "match": { "path": "/x" }, "upstream": "default" } ])"));
    ASSERT_EQ(config.routes.size(), 3U);
    EXPECT_EQ(config.routes[2].match, Match{});
    EXPECT_EQ(config.routes[2].upstream, "default");
}

TEST(Routes, UpstreamsThatAreNoneHaveNoNames) {
    expect_error(
        R"({ "upstreams": @[ "a:1" ], "routes": [ { "upstream": "a" } ] })", "/upstreams",
        R"(must be an object of names and upstreams, such as { "app": { "servers": [ "127.0.0.1:3000" ] } }, not an array)");
}

TEST(Routes, MistakesInConditions) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("host": @"a.example:80")", "host",
         R"("a.example:80" is not a host (without the port; did you mean "a.example"?))"},
        {R"("host": @"*.example")", "host",
         R"("*.example" is not a host (such as "api.example.com"; it is compared as a whole))"},
        {R"("host": @"")", "host",
         R"("" is not a host (such as "api.example.com"; it is compared as a whole))"},
        {R"("path": @"")", "path", "a path is not empty (leave it out to match every path)"},
        {R"("path": @"api")", "path", R"("api" is not a path (it begins with "/"; did you mean "/api"?))"},
        {R"("path": @"/a?b=1")", "path",
         R"("/a?b=1" never matches (paths are compared without the query; did you mean "/a"?))"},
        {R"("path_prefix": @"/ä b")", "path_prefix",
         R"("/ä b" is never sent (paths are escaped; did you mean "/%C3%A4%20b"?))"},
        {R"("path_regex": @"")", "path_regex", "is empty (leave it out to match every path)"},
        {R"("method": @[])", "method", "is empty (leave it out to match every method)"},
        {R"("method": [ "GET", @"post" ])", "method/1",
         R"("post" is not a method (upper and lower case differ; did you mean "POST"?))"},
        {R"("method": @"G T")", "method", R"("G T" is not a method (such as "GET"))"},
        {R"("method": @1)", "method", R"(must be an array of methods, such as ["GET"], not a number)"},
        {R"("header": { @"a b": "1" })", "header/a b",
         R"("a b" is not the name of a header (letters, digits and hyphens, such as "X-Api-Key"))"},
        {R"("header": { "A": @1 })", "header/A", "must be a string, not a number"},
        {R"("header": { "A": @" x" })", "header/A",
         R"(" x" begins or ends with a blank, which a header's value never does)"},
        {R"("header": { "A": @"x\ny" })", "header/A", R"("x\u000ay" holds control characters)"},
        {R"("listener": @"")", "listener", "is empty (leave it out to match every listener)"},
        {R"("listener": @"0.0.0.0:8081")", "listener",
         R"(no listener is named "0.0.0.0:8081"; did you mean "0.0.0.0:8080"?)"},
        {R"("path": @"/api/*")", "path",
         R"("/api/*" has no wildcard: the star is a character (for what begins so, write "path_prefix": "/api/"; for the star itself "/api/%2A"))"},
        {R"("path_prefix": @"/a**")", "path_prefix",
         R"("/a**" has no wildcard: the star is a character (for what begins so, write "path_prefix": "/a"; for the star itself "/a*%2A"))"},
        {R"("path_prefix": @"*")", "path_prefix",
         R"("*" is no beginning of a path (leave it out to match every path))"},
        {R"(@"pathprefix": "/")", "pathprefix", R"(unknown key "pathprefix"; did you mean "path_prefix"?)"},
    };
    for (const auto& [text, pointer, message] : rows)
        expect_error(match_with(text), "/routes/0/match/" + std::string(pointer), message);
}

TEST(Routes, Mistakes) {
    const std::tuple<const char*, const char*, const char*> rows[] = {
        {R"("upstream": @"ap")", "/routes/0/upstream", R"(no upstream is named "ap"; did you mean "app"?)"},
        {R"("upstream": @7)", "/routes/0/upstream", "must be a string, not a number"},
        {R"("respond": {}, @"upstream": "app")", "/routes/0/upstream",
         R"("upstream" does not go with "respond", which answers without an upstream)"},
        {R"("respond": {}, @"host": "upstream")", "/routes/0/host",
         R"("host" does not go with "respond", which answers without an upstream)"},
        {R"("respond": {}, @"strip_prefix": "/a")", "/routes/0/strip_prefix",
         R"("strip_prefix" does not go with "respond", which answers without an upstream)"},
        {R"("respond": { "status": @100 })", "/routes/0/respond/status", "100 is not between 200 and 599"},
        {R"("respond": { "status": 204, "body": @"x" })", "/routes/0/respond/body",
         "an answer with the status 204 has no body"},
        {R"("respond": { "headers": { @"content-length": "3" } })",
         "/routes/0/respond/headers/content-length",
         "\"content-length\" is written by Sluice itself, as the answer needs it"},
        {R"("upstream": "app", "host": @"preserved")", "/routes/0/host",
         R"("preserved" is a host as written; did you mean "preserve"? ("preserved:80" for a host of that name))"},
        {R"("upstream": "app", "host": @"a b")", "/routes/0/host",
         R"("a b" is not "preserve", "upstream" or a host (such as "app.example.com"))"},
        {R"("upstream": "app", "strip_prefix": @"/")", "/routes/0/strip_prefix",
         R"("/" strips nothing (such as "/api"))"},
        {R"("upstream": "app", "strip_prefix": @"api")", "/routes/0/strip_prefix",
         R"("api" is not a path (it begins with "/"; did you mean "/api"?))"},
        {R"("upstream": "app", "strip_prefix": @"/api/")", "/routes/0/strip_prefix",
         R"("/api/" is not a prefix to strip (whole segments, without the last "/"; did you mean "/api"?))"},
        {R"("upstream": "app", "match": { "path_prefix": "/v1/" }, "strip_prefix": @"/api")",
         "/routes/0/strip_prefix", R"("/api" is in no path that matches (they begin with "/v1/"))"},
        {R"("upstream": "app", "match": { "path": "/apix" }, "strip_prefix": @"/api")",
         "/routes/0/strip_prefix", R"("/api" is in no path that matches (they are "/apix"))"},
    };
    for (const auto& [text, pointer, message] : rows) expect_error(route_with(text), pointer, message);
    expect_error(R"({ "routes": [ @{} ] })", "/routes/0",
                 R"("upstream" or "respond" is missing (such as "upstream": "default"))");
}

TEST(Routes, WhatNoRequestCanReachIsAMistake) {
    expect_error(R"({ "routes": [ { "respond": {} }, @{ "match": { "path": "/x" }, "respond": {} } ] })",
                 "/routes/1", "is never reached: /routes/0 before it matches everything");
    expect_error(R"({ "upstream": @"a:1", "routes": [ { "respond": {} } ] })", "/upstream",
                 "is never reached: /routes/0 matches everything");
    good(R"({ "upstream": "a:1", "routes": [ { "upstream": "default" } ] })");
}

TEST(Routes, AStrippedPrefixMayBePartOfWhatMatches) {
    for (const char* prefix : {"/api", "/api/", "/api/v1", "/", "/ap"})
        good(route_with(R"("upstream": "app", "strip_prefix": "/api", "match": { "path_prefix": ")" +
                        std::string(prefix) + "\" }"));
    good(route_with(R"("upstream": "app", "strip_prefix": "/api", "match": { "path": "/api" })"));
}

TEST(Routes, ExpressionsAreJudgedByWhoeverMatchesThem) {
    const Judges judges{.expression = [](const std::string& text) -> std::optional<std::string> {
        if (text != "((") return std::nullopt;
        return "missing )";
    }};
    const std::string text =
        R"({ "upstream": "a:1", "routes": [ { "respond": {}, "match": { "path_regex": "((" } } ], "limits": [ { "rate": "1/s", "match": { "path_regex": "((" } }, { "rate": "1/s", "match": { "path_regex": "^/" } } ] })";
    const auto config = parse(text, "f", {}, judges);
    ASSERT_FALSE(config);
    EXPECT_EQ(lines(config.error()),
              "f:1:76: /routes/0/match/path_regex: \"((\" is not a regular expression (missing ))\n"
              "f:1:142: /limits/0/match/path_regex: \"((\" is not a regular expression (missing ))\n");
    EXPECT_TRUE(parse(text, "f", {}));
}

}  // namespace
}  // namespace sluice::config
