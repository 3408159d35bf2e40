#include "service/proxy/forward.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <boost/asio/error.hpp>

#include "service/http/read_head.h"
#include "service/http/text.h"
#include "service/policy/rate_fields.h"
#include "service/proxy/connection.h"
#include "service/proxy/stamps.h"
#include "service/proxy/write_all.h"

namespace sluice::proxy {

using telemetry::UpstreamFailure;

namespace {

// Interim answers of one request. Servers that tell their progress send one every few seconds.
constexpr int kInterimMax = 100;

Failure failed(Stage stage, int status, UpstreamFailure how, std::string_view reason,
               bool retryable = false) {
    return {stage, Source::upstream, status, retryable, reason, how};
}

Failure failure_of(upstream::Error error) {
    using enum upstream::Error;
    const std::string_view reason = to_string(error);
    switch (error) {
        case none_healthy: return failed(Stage::acquire, 503, UpstreamFailure::no_server, reason);
        case exhausted: return failed(Stage::acquire, 503, UpstreamFailure::busy, reason);
        case lookup: return failed(Stage::acquire, 502, UpstreamFailure::connect, reason, true);
        case refused: return failed(Stage::acquire, 502, UpstreamFailure::connect, reason, true);
        case timeout: return failed(Stage::acquire, 504, UpstreamFailure::connect_timeout, reason, true);
        case tls: return failed(Stage::acquire, 502, UpstreamFailure::tls, reason, true);
        case client_gone: return proxy::client_gone(Stage::acquire);
        case resources: break;
    }
    return {Stage::acquire, Source::ourselves, 503, false, reason, UpstreamFailure::none};
}

// What the client's end of a body is told by (RFC 9112 §6): chunks where the length is not known, unless the
// client is too old to know them.
Relay::Framing framing_for(const http::RequestHead& request, const http::ResponseHead& answer) {
    using enum http::Framing::Kind;
    const bool unknown = answer.framing.kind == chunked || answer.framing.kind == until_close;
    if (!unknown) return answer.framing.kind;
    return request.minor == 0 ? until_close : chunked;
}

}  // namespace

Forward::Step Forward::run(runtime::Time now) {
    started_ = now;
    upstream::Upstream& upstream = how_.upstream;
    const unsigned retries = upstream.settings().retries;
    upstream::Tried tried = 0;
    const upstream::Server* stale = nullptr;
    unsigned repeats = 0;
    for (;;) {
        Step done = attempt(tried, stale, now);
        if (changed_protocol_) return done;
        lease_ = {};
        if (done || !done.error().retryable || retries == 0) return done;
        if (client_.hung_up()) return std::unexpected(client_gone(Stage::acquire));
        now = runtime::now();
        // A connection that was not made has cost the servers nothing: each of them may be asked.
        if (done.error().stage == Stage::acquire ? !upstream.another(now, tried) : repeats++ == retries)
            return done;
        stale = done.error().stage != Stage::acquire ? figures_.server : nullptr;
        ++figures_.retries;
    }
}

Forward::Step Forward::attempt(upstream::Tried& tried, const upstream::Server* stale, runtime::Time now) {
    const upstream::Pointless gone{
        [](const void* client) { return static_cast<const Connection*>(client)->hung_up(); }, &client_};
    auto lease = how_.upstream.acquire(now, tried, {how_.client_hash, gone, stale});
    if (!lease) return std::unexpected(failure_of(lease.error()));
    lease_ = std::move(*lease);
    figures_.server = &lease_.server();
    read_ = filled_ = 0;
    heard_ = false;

    const config::Upstream& settings = how_.upstream.settings();
    Relay upward({request_.stream(), Source::client, how_.snapshot.config.timeouts.body}, request_.body(),
                 {lease_.stream(), Source::upstream, settings.stall_timeout}, request_.head().framing.kind);
    const std::string_view text = write_head(lease_.server());
    if (text.empty()) {
        return std::unexpected(Failure{.stage = Stage::send,
                                       .source = Source::client,
                                       .status = 431,
                                       .reason = "with what is added, the head is too long to be forwarded"});
    }
    if (auto sent = upward.begin(text, request_.first(), now); !sent) {
        sent.error().retryable = sent.error().retryable && may_repeat(false);
        blame(sent.error());
        return sent;
    }
    now_ = sent_ = now;
    Upload upload(request_, upward, lease_.stream());
    if (!upward.done()) upload.start(request_.head().expect_continue);

    http::ResponseHead head;
    Step step = receive_head(head, upload);
    if (step) figures_.until_head = now_ - started_;
    upload.stop();
    sent_whole_ = upward.done();
    met_reset_ = upward.met_reset();
    if (upload.failure() && upload.failure()->source == Source::client) {
        return std::unexpected(*upload.failure());
    }
    if (!step) step.error().retryable = step.error().retryable && may_repeat(upload.started());
    if (step) step = head.status == 101 ? change_protocol(head) : relay(head);
    if (!step && lease_) blame(step.error());
    return step;
}

// A connection that was closed while it idled is no failure of its server, also where the request cannot be
// sent again.
void Forward::blame(const Failure& failure) {
    if (failure.source != Source::upstream) return;
    const bool stale = lease_.reused() && !heard_ && failure.upstream == UpstreamFailure::reset;
    if (!stale) lease_.failed();
}

// The host that the server is to see; the rest was decided before.
std::string_view Forward::write_head(const upstream::Server& server) {
    http::UpstreamRequest with = how_.with;
    switch (how_.route.host) {
        case config::HostPolicy::preserve: with.host = request_.head().authority; break;
        case config::HostPolicy::upstream: with.host = server.authority(); break;
        case config::HostPolicy::literal: with.host = how_.route.host_literal; break;
    }
    if (with.host.empty()) with.host = server.authority();  // HTTP/1.0 without Host
    return http::write_request_head(request_.head(), with, buffers_.upstream);
}

// A request may be sent again when its connection had been idle, so that the server may have closed it before
// it read anything; when it may be carried out twice (RFC 9110 §9.2.2); and when all of it is still here, or
// its body still to come. REQUIRES: no upload is under way; `uploaded`: there was one.
bool Forward::may_repeat(bool uploaded) const {
    const http::BodyReader& body = request_.body();
    return lease_.reused() && http::is_idempotent(request_.head().method) &&
           (body.untouched() || (body.done() && !uploaded));
}

Forward::Step Forward::receive_head(http::ResponseHead& head, Upload& upload) {
    const http::HeadLimits limits{.bytes = kAnswerHeadMax, .fields = http::Fields::kMax};
    http::HeadScan scan;
    for (int interims = 0;;) {
        const std::string_view received(unread().data(), unread().size());
        const auto size = http::read_response_head(received, scan, limits, request_.head().method, head);
        if (!size) {
            return std::unexpected(
                failed(Stage::response_head, 502, UpstreamFailure::invalid, size.error().reason));
        }
        if (*size > 0) {
            read_ += *size;
            if (!head.interim()) break;
            if (++interims > kInterimMax) {
                return std::unexpected(
                    failed(Stage::response_head, 502, UpstreamFailure::invalid, "too many interim answers"));
            }
            if (auto sent = interim(head); !sent) return sent;
            if (head.status == 100) upload.go_on();
            std::construct_at(&head);  // in place: a temporary would be 10 KiB of stack
            scan = http::HeadScan();
            continue;
        }
        // Behind an interim answer: to the front, where there is room for the whole head.
        std::copy(unread().begin(), unread().end(), buffers_.upstream.begin());
        filled_ -= std::exchange(read_, 0);
        runtime::error_code error;
        filled_ += read_watching(
            lease_.stream(), std::span(buffers_.upstream).subspan(filled_),
            [&] { return head_deadline(upload); }, request_.stream(), now_, error);
        if (error) return std::unexpected(no_head(error, upload));
        heard_ = true;
        now_ = runtime::now();
    }
    if (head.status == 101 && !asked_for(head)) {
        return std::unexpected(
            failed(Stage::response_head, 502, UpstreamFailure::invalid, "a 101 that nobody asked for"));
    }
    return {};
}

// Time does not run while the client is sending: then timeouts.body and stall_timeout watch. It does while
// the client waits to be told to.
runtime::Time Forward::head_deadline(const Upload& upload) const {
    const runtime::Duration patience = how_.upstream.settings().response_timeout;
    if (!upload.started() || upload.on_hold()) return sent_ + patience;
    const auto ended = upload.ended();
    return ended ? *ended + patience : runtime::kNever;
}

Failure Forward::no_head(const runtime::error_code& error, const Upload& upload) const {
    if (error == boost::asio::error::connection_aborted) return client_gone(Stage::response_head);
    if (upload.ended() && upload.failure()) {
        Failure failure = *upload.failure();
        failure.retryable = false;  // what was sent of the body is here no more
        return failure;
    }
    if (error == boost::asio::error::timed_out) {
        return failed(Stage::response_head, 504, UpstreamFailure::response_timeout,
                      "the upstream did not answer within response_timeout");
    }
    return failed(Stage::response_head, 502, UpstreamFailure::reset,
                  heard_ ? "the upstream closed the connection within its answer"
                         : "the upstream closed the connection without an answer",
                  !heard_);
}

Forward::Step Forward::interim(const http::ResponseHead& head) {
    if (request_.head().minor == 0) return {};
    const std::string_view text =
        http::write_response_head(head, {.minor = request_.head().minor}, buffers_.answer);
    iovec piece{const_cast<char*>(text.data()), text.size()};
    runtime::error_code error;
    write_all(request_.stream(), {&piece, 1}, now_, how_.snapshot.config.timeouts.write, error);
    if (error) return std::unexpected(client_gone(Stage::relay));
    return {};
}

// RFC 9110 §7.8: only to a protocol of the request's, and we pass on no more than one.
bool Forward::asked_for(const http::ResponseHead& head) const {
    return how_.with.upgrade && http::equals_ignoring_case(head.upgrade, request_.head().upgrade);
}

// What came behind the head is of the other protocol already.
[[gnu::noinline]] Forward::Step Forward::change_protocol(const http::ResponseHead& head) {
    const std::string_view text = answer_head(head, Relay::Framing::none);
    if (text.empty()) {
        return std::unexpected(
            failed(Stage::relay, 502, UpstreamFailure::invalid, "the head of the answer is too long"));
    }
    begun_ = true;
    lease_.answered(head.status);
    figures_.status = head.status;
    figures_.bytes_out = unread().size();
    std::array<iovec, 2> pieces{
        {{const_cast<char*>(text.data()), text.size()}, {unread().data(), unread().size()}}};
    runtime::error_code error;
    write_all(request_.stream(), pieces, now_, how_.snapshot.config.timeouts.write, error);
    if (error) return std::unexpected(client_gone(Stage::relay));
    changed_protocol_ = true;
    return {};
}

Forward::Step Forward::relay(const http::ResponseHead& head) {
    http::BodyReader body(head.framing);
    const auto first = body.feed(unread());
    begun_ = true;  // from here on the answer is theirs, or none
    if (!first) {
        return std::unexpected(failed(Stage::relay, 0, UpstreamFailure::invalid, first.error().reason));
    }
    read_ += first->consumed;

    const Relay::Framing framing = framing_for(request_.head(), head);
    keeps_client_ = client_.goes_on() && request_.head().keep_alive && request_.body().done() &&
                    framing != Relay::Framing::until_close;
    Relay downward({lease_.stream(), Source::upstream, how_.upstream.settings().stall_timeout, met_reset_},
                   body,
                   {.stream = request_.stream(),
                    .whose = Source::client,
                    .stall = how_.snapshot.config.timeouts.write,
                    .ends = !keeps_client_,
                    .slots = &how_.slots},
                   framing);
    std::string_view text = answer_head(head, framing);
    if (text.empty()) {
        begun_ = false;
        return std::unexpected(
            failed(Stage::relay, 502, UpstreamFailure::invalid, "the head of the answer is too long"));
    }
    figures_.status = head.status;
    // An answer that is all here needs its connection no more; the client's next request may.
    const bool released = body.done();
    if (released) release(head, true);
    std::span<char> data = first->data;
    if (framing != Relay::Framing::chunked && data.size() <= kSmall &&
        text.size() + data.size() <= buffers_.answer.size()) {
        std::copy(data.begin(), data.end(), buffers_.answer.begin() + text.size());
        text = {text.data(), text.size() + data.size()};
        data = {};
    }
    Step sent = downward.begin(text, data, now_);
    if (sent) sent = downward.pump(buffers_.upstream);
    figures_.bytes_out = body.bytes();
    if (sent && !released) {
        now_ = runtime::now();
        release(head, downward.left().empty());
    }
    return sent;
}

// Whatever lies behind the answer belongs to nobody: the connection is no place for another request then.
void Forward::release(const http::ResponseHead& head, bool nothing_behind) {
    const bool clean = nothing_behind && unread().empty() && sent_whole_ && head.keep_alive &&
                       head.framing.kind != http::Framing::Kind::until_close;
    lease_.answered(head.status);
    if (clean) lease_.keep(now_);
}

std::string_view Forward::answer_head(const http::ResponseHead& head, Relay::Framing framing) {
    const config::RateHeaders headers = how_.snapshot.config.response.headers;
    const policy::RateFieldsChoice choice = policy::choose_rate_fields(how_.verdict, headers, head.fields);
    std::array<char, policy::kRateFieldsRoom> room;
    const std::string_view extra = policy::write_rate_fields(how_.verdict, choice.ours, room);
    const DateNow date;
    return http::write_response_head(head,
                                     {.framing = {framing, head.framing.length},
                                      .minor = request_.head().minor,
                                      .keep_alive = keeps_client_,
                                      .drop = choice.drop,
                                      .extra = extra,
                                      .date = date.text()},
                                     buffers_.answer);
}

}  // namespace sluice::proxy
