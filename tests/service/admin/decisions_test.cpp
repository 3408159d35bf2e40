#include "service/admin/decisions.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::admin {
namespace {

using Lines = std::vector<std::pair<std::string_view, std::string_view>>;

struct Call {
    explicit Call(const Lines& lines, std::string_view query = "", std::string_view target = "/own?x=1") {
        fields.add({"Host", "own.example", http::FieldId::host});
        for (const auto& [name, value] : lines) fields.add({name, value, http::identify(name)});
        request.method = "PATCH";
        request.query = query;
        request.target = target;
        request.fields = &fields;
    }
    http::Fields fields;
    Request request;
};

TEST(QuestionOfProxy, IsWhatItTellsElseTheCallItself) {
    const Call bare(Lines{});
    const auto own = question_of_proxy(bare.request);
    ASSERT_TRUE(own);
    EXPECT_EQ(own->method, "PATCH");
    EXPECT_EQ(own->host, "own.example");
    EXPECT_EQ(own->uri, "/own?x=1");
    EXPECT_EQ(own->fields, &bare.fields);
    EXPECT_FALSE(own->client);

    const Call full(Lines{{"x-forwarded-method", "POST"},
                          {"X-Original-Method", "PUT"},
                          {"X-Forwarded-Host", "api.example:8443"},
                          {"X-Original-URL", "https://other.example/a"},
                          {"X-Original-URI", "/b"}});
    const auto told = question_of_proxy(full.request);
    ASSERT_TRUE(told);
    EXPECT_EQ(told->method, "POST");
    EXPECT_EQ(told->host, "api.example:8443");
    EXPECT_EQ(told->uri, "/b");
}

TEST(QuestionOfProxy, FieldThatIsThereTwiceIsNotBelieved) {
    const Call twice(Lines{{"X-Forwarded-Uri", "/a"}, {"X-Forwarded-Uri", "/b"}});
    const auto question = question_of_proxy(twice.request);
    ASSERT_FALSE(question);
    EXPECT_EQ(question.error(), "X-Forwarded-Uri is there more than once");
    const Call once(Lines{{"X-Forwarded-Uri", "/a"}, {"X-Original-URI", "/b"}, {"Accept", "*/*"}});
    EXPECT_TRUE(question_of_proxy(once.request));
}

TEST(QuestionOfOperator, IsMadeOfParametersAlone) {
    const Call call({{"X-Forwarded-Method", "POST"}, {"Cookie", "a=1"}},
                    "listener=front&method=PUT&host=a.example&uri=%2Fx%3Fy%3D1&ip=192.0.2.1&header=X-Api-Key:"
                    "%20k%3A1&header=B:");
    const auto question = question_of_operator(call.request);
    ASSERT_TRUE(question);
    EXPECT_EQ(question->method, "PUT");
    EXPECT_EQ(question->host, "a.example");
    EXPECT_EQ(question->uri, "/x?y=1");
    EXPECT_EQ(question->client, "192.0.2.1");
    EXPECT_EQ(question->listener, "front");
    EXPECT_FALSE(question_of_operator(Call(Lines{}).request)->listener);
    EXPECT_EQ(question->fields, nullptr);
    EXPECT_EQ(question->more,
              (std::vector<std::pair<std::string, std::string>>{{"X-Api-Key", "k:1"}, {"B", ""}}));
    for (const char* wrong : {"header=X-Api-Key", "header=:x", "header=a%20b:c"})
        EXPECT_FALSE(question_of_operator(Call(Lines{}, wrong).request)) << wrong;
}

TEST(Check, AnswersAsItWasDecided) {
    const Decide decide = [](const Question& question) -> std::expected<Decision, std::string> {
        EXPECT_EQ(question.uri, "/") << "the call's own target says nothing of the request";
        return Decision{
            .status = 429, .content_type = "text/plain", .fields = "Retry-After: 3\r\n", .body = "slow"};
    };
    const Response response = check(decide, Call(Lines{}, "", "/check").request);
    EXPECT_EQ(response.status, 429U);
    EXPECT_EQ(response.content_type, "text/plain");
    EXPECT_EQ(response.lines, "Retry-After: 3\r\n");
    EXPECT_EQ(response.body, "slow");
    EXPECT_EQ(check({}, Call(Lines{}).request).status, 501U);
    EXPECT_EQ(check([](const Question&) { return std::unexpected(std::string("no")); }, Call(Lines{}).request)
                  .status,
              400U);
}

TEST(Check, BelievesAUriThatIsThatOfTheCall) {
    std::string asked;
    const Decide decide = [&](const Question& question) -> std::expected<Decision, std::string> {
        asked = question.uri;
        return Decision{};
    };
    check(decide, Call(Lines{{"X-Forwarded-Uri", "/check"}}, "", "/check").request);
    EXPECT_EQ(asked, "/check");
    check(decide, Call(Lines{}, "uri=%2Fcheck", "/check?uri=%2Fcheck").request);
    EXPECT_EQ(asked, "/check");
}

TEST(Explain, ShowsWhatIsNotThereAsNull) {
    const Explain tell = [](const Question&) -> std::expected<Explanation, std::string> {
        return Explanation{.client = "192.0.2.1",
                           .listener = "front",
                           .route = 1,
                           .verdict = "limited",
                           .status = 429,
                           .refused_by = "x",
                           .limits = {{.name = "x",
                                       .algorithm = "token_bucket",
                                       .mode = "enforce",
                                       .key = "192.0.2.1",
                                       .cost = 1,
                                       .wait = std::chrono::milliseconds(1500)}}};
    };
    const auto json = nlohmann::json::parse(explain(tell, Call(Lines{}).request).body);
    EXPECT_EQ(json["route"], nlohmann::json::parse(R"({"index": 1, "upstream": null})"));
    EXPECT_EQ(json["listener"], "front");
    EXPECT_EQ(json["status"], 429);
    EXPECT_EQ(json["limits"][0]["wait_seconds"], 1.5);
    EXPECT_EQ(json["limits"][0]["admits"], false);
}

}  // namespace
}  // namespace sluice::admin
