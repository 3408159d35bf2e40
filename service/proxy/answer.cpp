// The answers of an Exchange that are the proxy's own: refusals, fixed responses, errors; and how they go
// out.

#include <array>

#include "service/http/reply.h"
#include "service/http/text.h"
#include "service/http/writer.h"
#include "service/policy/rate_fields.h"
#include "service/policy/refusal_body.h"
#include "service/proxy/connection.h"
#include "service/proxy/exchange.h"
#include "service/proxy/stamps.h"
#include "service/proxy/warnings.h"
#include "service/proxy/write_all.h"

namespace sluice::proxy {

namespace {

std::size_t behind_head(std::string_view answer) {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const std::size_t end = answer.find(kEnd);
    return end == answer.npos ? 0 : answer.size() - end - kEnd.size();
}

}  // namespace

After Exchange::limited(const policy::Verdict& verdict) {
    const policy::Limit& limit = *verdict.refused_by->limit;
    if (verdict.strike != limit::Bans::Strike::counted) [[unlikely]]
        tell_of_ban(context_, verdict, now_);
    outcome_.limit = limit.settings.name;
    const bool keep = may_keep();
    const auto form = form_of(verdict, keep);
    if (!form) return write_refusal(verdict, nullptr);
    const DateNow date;
    std::optional<PreparedRefusal> prepared;
    context_.refusals.update([&](const PreparedRefusals& refusals, telemetry::Adder add) {
        if (add.alone()) prepared = refusals.copy(*form, date.text(), buffers_.answer);
    });
    if (!prepared) return write_refusal(verdict, &*form);
    outcome_.status = static_cast<std::uint16_t>(limit.settings.status);
    outcome_.bytes_out = prepared->body_size;
    return send(prepared->answer, {}, keep);
}

// Of the usual refusal, whose bytes many share: one limit applied, and nothing is said of the client.
std::optional<RefusalForm> Exchange::form_of(const policy::Verdict& verdict, bool keep) const {
    if (verdict.applied().size() != 1 || policy::is_never_admitted(*verdict.refused_by) ||
        verdict.strike == limit::Bans::Strike::banned || request_.head().method == http::Method::head ||
        snapshot_.config.response.format == config::BodyFormat::custom)
        return std::nullopt;
    const policy::Applied& refused = *verdict.refused_by;
    return RefusalForm{.limit = refused.limit,
                       .version = client_.snapshot_version(),
                       .remaining = refused.answer.remaining,
                       .next_token = policy::whole_seconds(refused.answer.next_token),
                       .retry_after = policy::retry_after_seconds(verdict),
                       .keep_alive = keep,
                       .minor = request_.head().minor};
}

// Apart, with the room for the parts of the answer.
[[gnu::noinline]] After Exchange::write_refusal(const policy::Verdict& verdict, const RefusalForm* form) {
    const config::Response& format = snapshot_.config.response;
    std::array<char, policy::kRateFieldsRoom> fields;
    std::string large;  // a body of the operator's that outgrows the buffer
    std::span<char> room = buffers_.upstream;
    if (format.body.size() > room.size() / 2) {
        large.resize(policy::refusal_body_size(verdict, format));
        room = large;
    }
    const policy::RefusalBody body = policy::write_refusal_body(verdict, format, room);
    const Written written = write({.status = static_cast<int>(verdict.refused_by->limit->settings.status),
                                   .content_type = body.content_type,
                                   .extra = policy::write_rate_fields(verdict, format.headers, fields),
                                   .body = body.body});
    if (form && written.body.empty()) {
        context_.refusals.update([&](PreparedRefusals& refusals, telemetry::Adder add) {
            if (add.alone()) refusals.keep(*form, {written.head, body.body.size()});
        });
    }
    return send(written.head, written.body, written.keep);
}

[[gnu::noinline]] After Exchange::banned(const policy::Verdict& verdict) {
    if (verdict.banned_by) outcome_.limit = verdict.banned_by->settings.name;
    std::array<char, 64> room;
    http::Writer retry(room);
    retry << "Retry-After: " << policy::whole_seconds(verdict.banned_for) << "\r\n";
    return refuse({Stage::decide, Source::client, 403, false, "this client is banned for now"}, retry.text());
}

After Exchange::respond(const config::Respond& respond, const policy::Verdict& verdict) {
    http::Writer extra(buffers_.upstream);
    bool typed = respond.body.empty();
    for (const auto& [name, value] : respond.headers) {
        extra.field(name, value);
        typed = typed || http::equals_ignoring_case(name, "Content-Type");
    }
    std::array<char, policy::kRateFieldsRoom> fields;
    extra << policy::write_rate_fields(verdict, snapshot_.config.response.headers, fields);
    return reply({.status = static_cast<int>(respond.status),
                  .content_type = typed ? "" : "text/plain; charset=utf-8",
                  .extra = extra.text(),
                  .body = respond.body});
}

// A request that was charged is told so, whatever became of it. Apart from forward(), whose frame lies below
// all of the relaying, so that this room does not.
[[gnu::noinline]] After Exchange::fail(const Failure& failure, const policy::Verdict& verdict) {
    now_ = runtime::now();  // waiting for the upstream may have taken longer than timeouts.write
    std::array<char, policy::kRateFieldsRoom> fields;
    return refuse(failure, policy::write_rate_fields(verdict, snapshot_.config.response.headers, fields));
}

// An error of the proxy's own. What was not a request that could be read ends the connection.
After Exchange::refuse(const Failure& failure, std::string_view extra) {
    if (failure.status == 0) {
        outcome_.client_aborted = true;
        account();
        return After::close;
    }
    const bool read = failure.stage != Stage::read_head && failure.stage != Stage::read_body;
    const bool keep = read && failure.status != 503 && may_keep();
    const DateNow date;
    http::Writer fields(buffers_.upstream);
    fields << extra;
    if (failure.status == 503) fields << "Retry-After: 1\r\n";
    const http::Reply reply{.status = failure.status,
                            .extra = fields.text(),
                            .date = date.text(),
                            .keep_alive = keep,
                            .minor = request_.complete() ? request_.head().minor : 1,
                            .to_head = request_.complete() && request_.head().method == http::Method::head};
    outcome_.status = static_cast<std::uint16_t>(failure.status);
    const std::string_view text = http::write_problem(reply, failure.reason, buffers_.answer);
    outcome_.bytes_out = behind_head(text);
    const After after = send(text, {}, keep);
    // Of these it is known what the client is sending, and that it means well.
    const bool http = read || failure.status == 413 || failure.status == 417 || failure.status == 501;
    return after == After::linger && !http ? After::cut_short : after;
}

// An answer of our own to a request that was read well.
After Exchange::reply(const http::Reply& reply) {
    const Written written = write(reply);
    return send(written.head, written.body, written.keep);
}

// A small body goes with the head, as one piece, which the kernel takes faster than two; a large one stays
// where it is.
Exchange::Written Exchange::write(http::Reply reply) {
    const DateNow date;
    const bool keep = may_keep();
    const bool bodiless =
        request_.head().method == http::Method::head || reply.status == 204 || reply.status == 304;
    const bool apart = !bodiless && reply.body.size() > kSmall;
    reply.date = date.text();
    reply.keep_alive = keep;
    reply.minor = request_.head().minor;
    reply.to_head = bodiless || apart;
    outcome_.status = static_cast<std::uint16_t>(reply.status);
    outcome_.bytes_out = bodiless ? 0 : reply.body.size();
    return {http::write_reply(reply, buffers_.answer), apart ? reply.body : std::string_view(), keep};
}

bool Exchange::may_keep() const {
    return request_.head().keep_alive && client_.goes_on() && request_.may_drain();
}

After Exchange::send(std::string_view head, std::string_view body, bool keep) {
    if (head.empty()) {  // larger than any buffer; nothing of it can be sent
        account();
        return After::reset;
    }
    std::array<iovec, 2> pieces{
        {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(body.data()), body.size()}}};
    runtime::error_code error;
    const runtime::Duration patience = snapshot_.config.timeouts.write;
    if (slots_ != nullptr && body.size() > kSmall &&
        slots_->any()) {  // what is long holds them but for its end
        pieces[1].iov_len -= kSmall;
        write_all(client_.stream(), pieces, now_, patience, error);
        now_ = runtime::now();
        pieces = {iovec{const_cast<char*>(body.data()) + body.size() - kSmall, kSmall}, iovec{}};
    }
    if (slots_ != nullptr) slots_->give_back();
    if (!keep) client_.stream().end_follows();
    if (!error)
        write_all(client_.stream(), std::span(pieces).first(pieces[1].iov_len == 0 ? 1 : 2), now_, patience,
                  error);
    outcome_.client_aborted = static_cast<bool>(error);
    account();
    if (error) return After::reset;
    const bool whole = request_.complete() && request_.body().done();
    if (!keep) return whole ? last_answer() : After::linger;
    if (whole) return After::next;
    const bool drained = request_.drain(snapshot_.config.timeouts.body);
    ended_ = runtime::now();  // it idles from here on
    return drained ? After::next : After::linger;
}

// Closing would be a reset if the client has sent more already, or sends it before it has read the answer: as
// it may where it is we who end the connection.
After Exchange::last_answer() const {
    const bool more = !buffers_.request.empty() || client_.stream().has_unread_event();
    return request_.head().keep_alive || more ? After::linger : After::close;
}

}  // namespace sluice::proxy
