#include "service/admin/router.h"

#include <array>
#include <span>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::admin {
namespace {

Router example() {
    const auto answer = [](std::string body) {
        return [=](const Request&) { return Response{.body = body}; };
    };
    return Router(
        {{"GET", "/stats", answer("stats")},
         {"GET", "/clients/{key}", [](const Request& r) { return Response{.body = "client " + r.key}; }},
         {"DELETE", "/clients/{key}", answer("forgotten")},
         {"POST", "/reload", answer("reloaded")}});
}

Response ask(std::string_view method, std::string path) {
    const Router router = example();
    Request request;
    request.method = method;
    request.path = std::move(path);
    Router::Match match = router.match(request);
    return match.route ? match.route->handle(request) : match.otherwise;
}

TEST(Router, FindsACallByMethodAndPath) {
    EXPECT_EQ(ask("GET", "/stats").body, "stats");
    EXPECT_EQ(ask("HEAD", "/stats").body, "stats");
    EXPECT_EQ(ask("DELETE", "/clients/a").body, "forgotten");
}

TEST(Router, TakesAllThatIsLeftOfThePathForTheKey) {
    EXPECT_EQ(ask("GET", "/clients/2001:db8::/64").body, "client 2001:db8::/64");
    EXPECT_EQ(ask("GET", "/clients/").status, 404U);
    EXPECT_EQ(ask("GET", "/clients").status, 404U);
}

TEST(Router, TellsAnUnknownPathFromAWrongMethod) {
    const Response unknown = ask("GET", "/nothing");
    EXPECT_EQ(unknown.status, 404U);
    EXPECT_EQ(unknown.content_type, "application/problem+json");
    EXPECT_EQ(nlohmann::json::parse(unknown.body).at("status"), 404);

    const Response wrong = ask("POST", "/clients/a");
    EXPECT_EQ(wrong.status, 405U);
    EXPECT_EQ(wrong.fields,
              (std::vector<std::pair<std::string, std::string>>{{"Allow", "GET, HEAD, DELETE"}}));
    EXPECT_EQ(ask("GET", "/reload").fields[0].second, "POST");
}

TEST(Problem, HasTheTitleThatItsStatusLineHas) {
    for (const auto& [status, title] : {std::pair(404U, "Not Found"), std::pair(413U, "Content Too Large"),
                                        std::pair(422U, "Unprocessable Content")})
        EXPECT_EQ(nlohmann::json::parse(problem(status, "").body).at("title"), title);
}

TEST(Request, DecodesParameters) {
    Request request;
    request.query = "limit=per%2Dip&top=5&empty=&flag&order=a+b&bad=%g1&limit=second";
    EXPECT_EQ(request.parameter("limit"), "per-ip");
    EXPECT_EQ(request.parameter("top"), "5");
    EXPECT_EQ(request.parameter("empty"), "");
    EXPECT_EQ(request.parameter("flag"), "");
    EXPECT_EQ(request.parameter("order"), "a b");
    EXPECT_EQ(request.parameter("bad"), std::nullopt);
    EXPECT_EQ(request.parameter("absent"), std::nullopt);
    EXPECT_EQ(request.parameters("limit"), (std::vector<std::string>{"per-ip", "second"}));
    EXPECT_TRUE(request.parameters("bad").empty());
}

TEST(Request, TellsWhichParameterIsWrongAndWhichThereAre) {
    constexpr std::array<std::string_view, 3> kKnown = {"limit", "top", "header=NAME:VALUE"};
    const auto wrong = [&](std::string_view query, std::size_t known = 3) {
        Request request;
        request.query = query;
        return request.wrong_parameter(std::span(kKnown).first(known)).value_or("");
    };
    for (const char* right : {"", "&", "limit", "limit=", "l%69mit=a&top=1&&header=a%3Db&header=c=d&"})
        EXPECT_EQ(wrong(right), "") << right;
    EXPECT_EQ(wrong("limit=a&limt=b"),
              "there is no parameter \"limt\" here; there are limit, top and header=NAME:VALUE");
    EXPECT_EQ(wrong("Limit=a", 2), "there is no parameter \"Limit\" here; there are limit and top");
    EXPECT_EQ(wrong("a+b=c", 1), "there is no parameter \"a b\" here; there is only limit");
    EXPECT_EQ(wrong("=", 0), "there is no parameter \"\" here; there is none");
    EXPECT_EQ(wrong("limit=%zz"), "the parameter \"limit\" is badly encoded");
    EXPECT_EQ(wrong("li%mit=a"), "the parameter \"li%mit\" is badly encoded");
}

TEST(Router, RefusesAParameterThatACallDoesNotTake) {
    const auto answer = [](const Request&) { return Response(); };
    const Router router({taking({"top"}, {"GET", "/list", answer}), {"GET", "/any", answer}});
    const auto status = [&](std::string path, std::string_view query) {
        Request request;
        request.method = "GET";
        request.path = std::move(path);
        request.query = query;
        const Router::Match match = router.match(request);
        return match.route ? 200 : match.otherwise.status;
    };
    EXPECT_EQ(status("/list", "top=1"), 200U);
    EXPECT_EQ(status("/list", "tpo=1"), 400U);
    EXPECT_EQ(status("/any", "tpo=1"), 200U);
}

TEST(Router, ListenerForAnyMethodAndPath) {
    const Router router({{.method = Route::kAnyMethod, .path = "{key}", .handle = {}}});
    for (const char* path : {"/", "/a/b", "*", "/%zz"}) {
        Request request;
        request.method = "BREW";
        request.path = path;
        EXPECT_NE(router.match(request).route, nullptr) << path;
    }
}

TEST(PercentDecoding, RefusesABrokenEscape) {
    EXPECT_EQ(percent_decoded("/a%2Fb+c", false), "/a/b+c");
    for (const char* broken : {"%", "%4", "a%", "%zz", "%4g", "%-1", "% 1"}) {
        EXPECT_EQ(percent_decoded(broken, false), std::nullopt) << broken;
    }
}

}  // namespace
}  // namespace sluice::admin
