#include "config/to_json.h"

#include <gtest/gtest.h>

#include "tests/config/files.h"
#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

// As secrets are shown.
void hide(Match& match) {
    for (auto& [name, value] : match.headers) value = "***";
}

void expect_round_trip(std::string_view text, const Environment& environment = {}) {
    Config config = good(text, environment);
    for (Route& route : config.routes) hide(route.match);
    for (Limit& limit : config.limits) hide(limit.match);
    const std::string json = to_json(config);
    const auto again = parse(json, "again", {});
    ASSERT_TRUE(again) << json << lines(again.error());
    EXPECT_EQ(*again, config) << json;
}

TEST(ToJson, ReadsBackAsTheSame) {
    expect_round_trip(R"({ "upstream": "127.0.0.1:3000" })");
    expect_round_trip(limit_with(
        R"("rate": "100/10s", "burst": 5, "key": [ "ip", "header:A" ], "missing": "skip", "ipv6_prefix": 48)"));
    expect_round_trip(limit_with(R"("rate": "9/s", "cost": { "header": "X", "default": 0, "max": 5 })"));
    expect_round_trip(
        limit_with(R"("rate": "9/s", "cost": { "by_method": { "POST": 5 } }, "mode": "shadow")"));
    expect_round_trip(with(R"("admin": null, "max": { "body": 1000 }, "log": { "level": "off" })"));
    expect_round_trip(with(
        R"("response": { "body": { "content_type": "a/b", "body": "\u0001\"ä{key}" }, "headers": "legacy" })"));
    expect_round_trip(with(
        R"("listen": [ "127.0.0.1:0", { "address": "unix:/x", "name": "n" } ], "deny": [ "10.0.0.0/8", "::1" ])"));
}

TEST(ToJson, ReadsBackEveryExample) {
    for (const auto& path : examples()) {
        SCOPED_TRACE(path);
        expect_round_trip(content(path));
    }
}

TEST(ToJson, AVariableIsNotExpandedAgain) {
    expect_round_trip(R"({ "routes": [ { "respond": { "body": "${A} $${B} $" } } ] })",
                      {{"A", "${B}"}, {"B", "x"}});
}

TEST(ToJson, HidesSecrets) {
    Config config = good(with(R"("admin": { "token": "s3cret" })"));
    EXPECT_EQ(to_json(config).find("s3cret"), std::string::npos);
    EXPECT_NE(to_json(config).find(R"("token": "***")"), std::string::npos);
    const std::string match = R"("match": { "header": { "Authorization": "Bearer s3cret" } })";
    const std::string json = to_json(good(with(R"("routes": [ { "respond": {}, )" + match +
                                               R"( } ], "limits": [ { "rate": "1/s", )" + match + " } ]")));
    EXPECT_EQ(json.find("s3cret"), std::string::npos) << json;
    const std::string shown = R"("Authorization": "***")";
    EXPECT_NE(json.find(shown), json.rfind(shown)) << "in both: " << json;
    config.redis.emplace();
    const std::pair<const char*, const char*> rows[] = {
        {"redis://user:s3cret@h:6379/0", "redis://user:***@h:6379/0"},
        {"redis://:s3:c@ret@h/0", "redis://:***@h/0"},
        {"redis://h:6379/0", "redis://h:6379/0"},
        {"redis://h/a:b@c", "redis://h/a:b@c"}};
    for (const auto& [url, text] : rows) {
        config.redis->url = url;
        EXPECT_NE(to_json(config).find("\"" + std::string(text) + "\""), std::string::npos)
            << to_json(config);
    }
}

TEST(ToJson, ShowsWhatIsNotBuiltYetToo) {
    Config config = good(limit_with(R"("rate": "1/s")"));
    config.listen[0].tls = ListenTls{"c.pem", "k.pem", "ca.pem"};
    config.upstreams[0].tls = UpstreamTls{true, "ca.pem", "app"};
    config.upstreams[0].health.emplace();
    config.upstreams[0].eject.emplace();
    config.limits[0].ban = Ban{3, 1min, 15min};
    config.limits[0].action = Action::delay;
    config.check = Address{"0.0.0.0:8082", "0.0.0.0", 8082, ""};
    Limit concurrency = config.limits[0];
    concurrency.algorithm = Algorithm::concurrency;
    concurrency.max = 8;
    config.limits.push_back(concurrency);
    const std::string json = to_json(config);
    for (const char* piece :
         {R"("certificate": "c.pem")", R"("client_ca": "ca.pem")", R"("server_name": "app")",
          R"("interval": "5s")", R"("for": "10s")", R"("within": "1m")", R"("max_delay": "1s")",
          R"("check": "0.0.0.0:8082")", R"("max": 8)"})
        EXPECT_NE(json.find(piece), std::string::npos) << piece << json;
}

}  // namespace
}  // namespace sluice::config
