#include "service/admin/api.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::admin {
namespace {

using nlohmann::json;

Response ask(const Sources& sources, std::string_view method, std::string path, std::string_view query = "") {
    const Router router(api(sources));
    Request request;
    request.method = method;
    request.path = std::move(path);
    request.query = query;
    const Router::Match match = router.match(request);
    return match.route ? match.route->handle(request) : match.otherwise;
}

TEST(Api, IsAliveEvenWhenItIsNotReady) {
    Sources sources;
    sources.ready = [] { return false; };
    EXPECT_EQ(ask(sources, "GET", "/healthz").status, 200U);
    EXPECT_EQ(ask(sources, "GET", "/readyz").status, 503U);
    sources.ready = [] { return true; };
    EXPECT_EQ(ask(sources, "GET", "/readyz").status, 200U);
}

TEST(Api, OnlyTheProbesAreOpenToAll) {
    const Sources sources;
    for (const Route& route : api(sources)) {
        EXPECT_EQ(route.open, route.path == "/healthz" || route.path == "/readyz") << route.path;
    }
}

TEST(Api, PassesOnWhichClientsAreAskedFor) {
    Sources sources;
    ClientQuery asked;
    sources.clients = [&](const ClientQuery& query) {
        asked = query;
        return ClientList{};
    };
    EXPECT_EQ(ask(sources, "GET", "/stats/clients").status, 200U);
    EXPECT_EQ(asked.limit, "");
    EXPECT_EQ(asked.top, 100U);
    EXPECT_EQ(asked.order, ClientOrder::denied);
    EXPECT_EQ(ask(sources, "GET", "/stats/clients", "limit=per%2Dip&top=5&order=recent").status, 200U);
    EXPECT_EQ(asked.limit, "per-ip");
    EXPECT_EQ(asked.top, 5U);
    EXPECT_EQ(asked.order, ClientOrder::recent);
}

TEST(Api, RefusesAQuestionItDoesNotUnderstand) {
    Sources sources;
    sources.clients = [](const ClientQuery&) { return ClientList{}; };
    for (const char* query :
         {"top=0", "top=-1", "top=x", "top=5x", "top=", "top=10001", "order=size", "order="}) {
        EXPECT_EQ(ask(sources, "GET", "/stats/clients", query).status, 400U) << query;
    }
}

TEST(Api, TellsWhyAReloadChangedNothing) {
    Sources sources;
    sources.reload = [] { return Reloaded(std::vector<std::string>{"runtime"}); };
    const Response reloaded = ask(sources, "POST", "/reload");
    EXPECT_EQ(reloaded.status, 200U);
    EXPECT_EQ(nlohmann::json::parse(reloaded.body),
              nlohmann::json::parse(R"({"reloaded": true, "needs_restart": ["runtime"]})"));
    sources.reload = [] {
        return Reloaded(std::unexpect,
                        std::vector<std::string>{"a.json:3:5: /limits: missing", "a.json:9:1: /x: unknown"});
    };
    const Response refusal = ask(sources, "POST", "/reload");
    EXPECT_EQ(refusal.status, 422U);
    EXPECT_EQ(json::parse(refusal.body).at("errors").size(), 2U);
    EXPECT_EQ(ask(sources, "GET", "/reload").status, 405U);
}

TEST(Api, TracesForTheSecondsAskedForAndOneAtATime) {
    Sources sources;
    runtime::Duration asked{};
    sources.trace = [&](runtime::Duration time) {
        asked = time;
        return std::optional<std::string>("{}");
    };
    EXPECT_EQ(ask(sources, "GET", "/debug/trace").body, "{}");
    EXPECT_EQ(asked, std::chrono::seconds(1));
    EXPECT_EQ(ask(sources, "GET", "/debug/trace", "seconds=60").status, 200U);
    EXPECT_EQ(asked, std::chrono::seconds(60));
    for (const char* wrong : {"0", "61", "-1", "1.5", "x", ""})
        EXPECT_EQ(ask(sources, "GET", "/debug/trace", std::string("seconds=") + wrong).status, 400U) << wrong;
    sources.trace = [](runtime::Duration) { return std::optional<std::string>(); };
    EXPECT_EQ(ask(sources, "GET", "/debug/trace").status, 409U);
}

TEST(Api, SaysWhatTheServiceDoesNotOffer) {
    const Sources sources;
    EXPECT_EQ(ask(sources, "GET", "/config").status, 501U);
    EXPECT_EQ(ask(sources, "GET", "/debug/tasks").status, 501U);
    EXPECT_EQ(ask(sources, "GET", "/debug/trace").status, 501U);
    EXPECT_EQ(ask(sources, "POST", "/reload").status, 501U);
}

}  // namespace
}  // namespace sluice::admin
