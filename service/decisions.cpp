#include "service/decisions.h"

#include <algorithm>
#include <array>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "config/names.h"
#include "service/admin/request.h"
#include "service/http/start_line.h"
#include "service/http/target.h"
#include "service/limit/nanos.h"
#include "service/policy/decide.h"
#include "service/policy/listing.h"
#include "service/policy/rate_fields.h"
#include "service/policy/refusal_body.h"
#include "service/policy/slots.h"
#include "service/policy/turn.h"
#include "service/proxy/address_text.h"
#include "service/proxy/warnings.h"

namespace sluice {

namespace {

using Failed = std::unexpected<std::string>;
using Kind = policy::Verdict::Kind;
using limit::nanos;

/// The request that a question is about. Its head refers into it and into the question.
struct Posed {
    std::string_view listener{};  // empty: none
    std::string line{};
    http::RequestHead head{};
    policy::Address client{};
    std::size_t route = policy::Policy::kNoRoute;

    policy::Request request() const { return {head, listener, client}; }
};

/// Fills it in, and checks it as strictly as a request that came by itself.
std::expected<void, std::string> pose(const admin::Question& question, const policy::Policy& policy,
                                      Posed& posed) {
    posed.line = question.method + ' ' + question.uri + " HTTP/1.1";
    if (const auto read = http::read_request_line(posed.line, posed.head); !read)
        return Failed(std::string(read.error().reason));
    http::Fields& fields = posed.head.fields;
    const auto add = [&](std::string_view name, std::string_view value, http::FieldId id) {
        if (fields.full()) return false;
        fields.add({name, value, id});
        return true;
    };
    bool fits = true;
    if (question.fields)
        for (const http::Field& field : *question.fields)
            if (field.id != http::FieldId::host) fits = fits && add(field.name, field.value, field.id);
    for (const auto& [name, value] : question.more) fits = fits && add(name, value, http::identify(name));
    if (!question.host.empty()) fits = fits && add("Host", question.host, http::FieldId::host);
    if (!fits) return Failed("too many header fields");
    posed.head.minor = question.host.empty() ? 0 : 1;
    if (const auto read = http::read_target(posed.head); !read)
        return Failed(std::string(read.error().reason));

    const policy::Address caller =
        question.caller ? policy::address_of(*question.caller) : policy::kNoAddress;
    if (!question.client) {
        posed.client =
            question.fields ? policy.identifier().identify_for(caller, *question.fields).address : caller;
    } else if (*question.client == policy::kUnixText) {
        posed.client = policy::kNoAddress;
    } else if (!policy::parse_forwarded_address(*question.client, posed.client)) {
        return Failed("the client is no address");
    }
    posed.route = policy.route(posed.request());
    return {};
}

/// The name of the listener that is asked about. Several entries of one name are for one address.
std::expected<std::string_view, std::string> listener_of(const admin::Question& question,
                                                         const std::vector<config::Listen>& all) {
    if (!question.listener) return all.front().name;
    const auto found = std::ranges::find(all, *question.listener, &config::Listen::name);
    if (found != all.end()) return found->name;
    std::vector<std::string_view> names;
    for (const config::Listen& each : all)
        if (std::ranges::find(names, each.name) == names.end()) names.push_back(each.name);
    std::string known;
    for (const std::string_view name : names) known.append(known.empty() ? "" : ", ").append(name);
    return Failed("no listener is named \"" + *question.listener + "\"; there is " + known);
}

admin::Decision refusal(const policy::Verdict& verdict, const config::Response& format) {
    const policy::Limit& limit = *verdict.refused_by->limit;
    std::string room(policy::refusal_body_size(verdict, format), '\0');
    const policy::RefusalBody body = policy::write_refusal_body(verdict, format, room);
    return {.status = limit.settings.status,
            .content_type = std::string(body.content_type),
            .body = std::string(body.body)};
}

admin::Decision problem(unsigned status, std::string_view detail) {
    admin::Response problem = admin::problem(status, detail);
    return {
        .status = status, .content_type = std::move(problem.content_type), .body = std::move(problem.body)};
}

/// `decision`: nullptr, nobody is left to hear of it.
void account(proxy::Context& context, const Posed& posed, const policy::Verdict& verdict, bool delayed,
             const admin::Decision* decision, runtime::Time began) {
    const proxy::AddressText client(posed.client);
    telemetry::RequestOutcome outcome{.verdict = policy::account_of(verdict.kind),
                                      .delayed = delayed,
                                      .shadow_limited = verdict.shadow != nullptr,
                                      .limit = {},
                                      .client = client.view(),
                                      .method = posed.head.method_text,
                                      .host = posed.head.host,
                                      .target = posed.head.target,
                                      .request_id = {},
                                      .status = {},
                                      .bytes_out = {},
                                      .duration = runtime::now() - began,
                                      .upstream = {},
                                      .server = {}};
    if (decision) {
        outcome.status = static_cast<std::uint16_t>(decision->status);
        outcome.bytes_out = decision->body.size();
    } else {
        outcome.client_aborted = true;
    }
    if (posed.route != policy::Policy::kNoRoute) outcome.route = static_cast<std::uint32_t>(posed.route);
    if (verdict.refused_by)
        outcome.limit = verdict.refused_by->limit->settings.name;
    else if (verdict.banned_by)
        outcome.limit = verdict.banned_by->settings.name;
    else if (verdict.shadow)
        outcome.limit = verdict.shadow->settings.name;
    context.telemetry.account(outcome);
}

/// Until the turn of what was asked about has come, or who asked is gone, or the service ends.
policy::Turn await(proxy::Context& context, policy::Verdict& verdict, const policy::Address& client,
                   const std::function<bool()>& asker_left, bool& held) {
    const auto ended = [&]() -> std::optional<policy::Turn> {
        if (asker_left && asker_left()) return policy::Turn::gone;
        if (!context.draining.load(std::memory_order_relaxed)) return std::nullopt;
        return policy::Turn::draining;
    };
    return policy::await_turn(context.clients, context.waiting, verdict, client, ended, held);
}

/// Whether a request that is delayed would be held: its turn comes in time, as far as the limit itself knows.
bool would_be_held(const policy::Verdict& verdict) {
    return verdict.kind == Kind::delayed &&
           verdict.refused_by->answer.retry_after <= verdict.refused_by->limit->settings.max_delay.count();
}

admin::ExplainedLimit explained(const policy::Applied& applied) {
    const policy::Limit& limit = *applied.limit;
    const limit::Answer& answer = applied.answer;
    admin::ExplainedLimit told{.name = limit.settings.name,
                               .algorithm = std::string(config::name_of(limit.settings.algorithm)),
                               .mode = std::string(config::name_of(limit.settings.mode)),
                               .key = std::string(policy::KeyText(limit, applied.key).view()),
                               .cost = applied.cost,
                               .admits = answer.admitted,
                               .remaining = answer.remaining + (answer.admitted ? applied.cost : 0)};
    if (!answer.admitted && !policy::is_never_admitted(applied))
        told.wait = runtime::Duration(answer.retry_after);
    return told;
}

/// Accounts for it as its last step: what throws has not.
admin::Decision decide(proxy::Context& context, const admin::Question& question, const policy::Policy& policy,
                       const Posed& posed, runtime::Time began) {
    const policy::Request request = posed.request();
    policy::Verdict verdict =
        policy::decide(policy, context.clients, request, posed.route, nanos(began), &context.waiting);
    const policy::Slots slots(context.clients, context.waiting, verdict);
    bool delayed = false;
    if (verdict.kind == Kind::delayed &&
        await(context, verdict, posed.client, question.caller_left, delayed) == policy::Turn::gone) {
        admin::Decision unheard = problem(503, "the asker is gone");
        account(context, posed, verdict, delayed, nullptr, began);
        return unheard;
    }

    admin::Decision decision;
    if (verdict.kind == Kind::denied) decision = problem(403, "this address is denied");
    if (verdict.kind == Kind::limited) {
        decision = refusal(verdict, policy.response());
        if (verdict.strike != limit::Bans::Strike::counted) proxy::tell_of_ban(context, verdict, began);
    }
    std::array<char, policy::kRateFieldsRoom> room;
    decision.fields = policy::write_rate_fields(verdict, policy.response().headers, room);
    if (verdict.kind == Kind::banned) {
        decision = problem(403, "this client is banned for now");
        decision.fields =
            "Retry-After: " + std::to_string(policy::whole_seconds(verdict.banned_for)) + "\r\n";
    }
    if (verdict.kind == Kind::delayed) {
        decision = problem(503, "the service is ending");
        decision.fields = "Retry-After: 1\r\n";
    }
    account(context, posed, verdict, delayed, &decision, began);
    return decision;
}

}  // namespace

std::expected<admin::Decision, std::string> check(proxy::Context& context, const admin::Question& question) {
    const runtime::Time began = runtime::now();
    const auto snapshot = context.snapshots.current();
    const policy::Policy& policy = *snapshot->policy;
    Posed posed;
    if (auto wrong = pose(question, policy, posed); !wrong) return Failed(std::move(wrong.error()));

    context.telemetry.counters.request_started();
    try {
        return decide(context, question, policy, posed, began);
    } catch (const std::bad_alloc&) {
        const admin::Decision none{.status = 500};
        account(context, posed, {}, false, &none, began);
        throw;
    }
}

std::expected<admin::Explanation, std::string> explain(const proxy::Context& context,
                                                       const admin::Question& question) {
    const auto snapshot = context.snapshots.current();
    const policy::Policy& policy = *snapshot->policy;
    auto listener = listener_of(question, snapshot->config.listen);
    if (!listener) return Failed(std::move(listener.error()));
    Posed posed{.listener = *listener};
    if (auto wrong = pose(question, policy, posed); !wrong) return Failed(std::move(wrong.error()));
    const policy::Request request = posed.request();
    const std::size_t route = posed.route;

    admin::Explanation told{.client = std::string(proxy::AddressText(posed.client).view()),
                            .listener = std::string(*listener),
                            .verdict = "none"};
    const policy::Verdict verdict =
        policy::explain(policy, context.clients, request, route, nanos(runtime::now()), &context.waiting);
    const bool routed = route != policy::Policy::kNoRoute;
    if (routed) {
        told.route = route;
        told.upstream = policy.routes()[route].settings->upstream;
    }
    const bool shut_out =
        verdict.kind == Kind::denied || (verdict.kind == Kind::banned && !verdict.banned_by);
    if (!shut_out && !routed) {  // nothing is asked about what goes nowhere
        told.status = 404;
        return told;
    }
    told.verdict = telemetry::name(policy::account_of(verdict.kind));
    if (verdict.kind == Kind::denied || verdict.kind == Kind::banned) told.status = 403;
    if (verdict.banned_by) told.refused_by = verdict.banned_by->settings.name;
    if (verdict.kind == Kind::banned) told.retry_after = policy::whole_seconds(verdict.banned_for);
    if (would_be_held(verdict)) {
        told.verdict = "delayed";
    } else if (verdict.refused_by) {
        told.verdict = telemetry::name(telemetry::Verdict::limited);
        told.refused_by = verdict.refused_by->limit->settings.name;
        told.status = verdict.refused_by->limit->settings.status;
        told.retry_after = policy::retry_after_seconds(verdict);
    }
    if (verdict.kind == Kind::admitted && policy.routes()[route].settings->respond)
        told.status = policy.routes()[route].settings->respond->status;
    for (const policy::Applied& applied : verdict.applied()) told.limits.push_back(explained(applied));
    return told;
}

}  // namespace sluice
