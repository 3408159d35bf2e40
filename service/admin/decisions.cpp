#include "service/admin/decisions.h"

#include <algorithm>

#include "service/admin/json_body.h"
#include "service/http/text.h"

namespace sluice::admin {
namespace {

using Failed = std::unexpected<std::string>;

// The value of the first of these fields that the call has. One that is there twice was set by two, and which
// of them is to be believed is not known.
std::expected<std::string_view, std::string> told(const Request& call,
                                                  std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        std::string_view value;
        bool found = false;
        for (const http::Field& field : *call.fields) {
            if (!http::equals_ignoring_case(field.name, name)) continue;
            if (found) return Failed(std::string(name) + " is there more than once");
            found = true;
            value = field.value;
        }
        if (!value.empty()) return value;
    }
    return std::string_view();
}

std::optional<std::string> add_headers(const Request& call, Question& question) {
    for (const std::string& text : call.parameters("header")) {
        const std::size_t colon = text.find(':');
        const std::string_view name = std::string_view(text).substr(0, colon);
        if (colon == std::string::npos || !http::is_token(name))
            return "header is NAME:VALUE, such as header=X-Api-Key:abc";
        question.more.emplace_back(name, http::trimmed(std::string_view(text).substr(colon + 1)));
    }
    return std::nullopt;
}

std::optional<std::string> add_parameters(const Request& call, Question& question) {
    for (const auto& [name, to] : {std::pair{"method", &question.method}, std::pair{"host", &question.host},
                                   std::pair{"uri", &question.uri}}) {
        if (auto value = call.parameter(name)) *to = std::move(*value);
    }
    if (auto ip = call.parameter("ip")) question.client = std::move(*ip);
    return add_headers(call, question);
}

Response answer(const Decide& decide, const std::expected<Question, std::string>& question) {
    if (!question) return problem(400, question.error());
    auto decision = decide(*question);
    if (!decision) return problem(400, decision.error());
    return {.status = decision->status,
            .content_type = std::move(decision->content_type),
            .body = std::move(decision->body),
            .lines = std::move(decision->fields)};
}

auto json_of(const ExplainedLimit& limit) {
    return [&](JsonObject& out) {
        out.add({{"name", limit.name},
                 {"algorithm", limit.algorithm},
                 {"mode", limit.mode},
                 {"key", limit.key},
                 {"cost", limit.cost},
                 {"admits", limit.admits},
                 {"remaining", limit.remaining},
                 {"wait_seconds", limit.wait}});
    };
}

auto json_of(const Explanation& told) {
    return [&](JsonObject& out) {
        const auto or_null = [](const std::string& text) {
            return text.empty() ? JsonValue(nullptr) : JsonValue(text);
        };
        const auto route = [&](JsonObject& to) {
            to.add({{"index", *told.route}, {"upstream", or_null(told.upstream)}});
        };
        const auto limit = [](const ExplainedLimit& each) { return json_of(each); };
        out.add({{"client", told.client},
                 {"listener", or_null(told.listener)},
                 {"route", told.route ? JsonValue(route) : JsonValue(nullptr)},
                 {"verdict", told.verdict},
                 {"status", told.status},
                 {"refused_by", or_null(told.refused_by)},
                 {"retry_after", told.retry_after},
                 {"limits", config::each(told.limits, limit)}});
    };
}

/// What the call tells of a request; `own_uri`: of one that it does not tell the URI of.
std::expected<Question, std::string> question_in(const Request& call, std::string_view own_uri) {
    Question question{.method = std::string(call.method),
                      .host = std::string(call.field("Host")),
                      .uri = std::string(own_uri),
                      .client = {},
                      .fields = call.fields,
                      .caller = call.caller,
                      .caller_left = call.caller_left};
    const auto method = told(call, {"X-Forwarded-Method", "X-Original-Method"});
    const auto host = told(call, {"X-Forwarded-Host", "X-Original-Host"});
    const auto uri = told(call, {"X-Forwarded-Uri", "X-Original-URI", "X-Original-URL"});
    for (const auto* part : {&method, &host, &uri})
        if (!*part) return Failed(part->error());
    if (!method->empty()) question.method = *method;
    if (!host->empty()) question.host = *host;
    if (!uri->empty()) question.uri = *uri;
    return question;
}

}  // namespace

std::expected<Question, std::string> question_of_proxy(const Request& call) {
    return question_in(call, call.target);
}

std::expected<Question, std::string> question_of_operator(const Request& call) {
    Question question{.client = {}, .listener = call.parameter("listener"), .caller = call.caller};
    if (auto wrong = add_parameters(call, question)) return Failed(std::move(*wrong));
    return question;
}

Response check(const Decide& decide, const Request& call) {
    if (!decide) return problem(501, "decisions are not offered by this service");
    auto question = question_in(call, "/");  // "/check" is not the URI of any request
    if (!question) return problem(400, question.error());
    if (auto wrong = add_parameters(call, *question)) return problem(400, *wrong);
    return answer(decide, question);
}

Response explain(const Explain& explain, const Request& call) {
    if (!explain) return problem(501, "explanations are not offered by this service");
    const auto question = question_of_operator(call);
    if (!question) return problem(400, question.error());
    const auto told = explain(*question);
    if (!told) return problem(400, told.error());
    return {.body = body_of(json_of(*told))};
}

std::vector<Route> check_api(const Decide& decide) {
    return {{.method = Route::kAnyMethod,
             .path = "{key}",
             .handle = [&decide](const Request& call) { return answer(decide, question_of_proxy(call)); },
             .open = true}};
}

}  // namespace sluice::admin
