#include "service/proxy/exchange.h"

#include <array>

#include "service/http/reply.h"
#include "service/http/text.h"
#include "service/http/writer.h"
#include "service/policy/listing.h"
#include "service/policy/rate_fields.h"
#include "service/policy/refusal_body.h"
#include "service/policy/slots.h"
#include "service/policy/turn.h"
#include "service/proxy/connection.h"
#include "service/proxy/stamps.h"
#include "service/proxy/tunnel.h"
#include "service/proxy/write_all.h"

namespace sluice::proxy {

namespace {

using telemetry::UpstreamFailure;

/// The text of an address; `unix:` of whoever has none.
class AddressText {
  public:
    explicit AddressText(const limit::Address& address) : size_(limit::to_chars(address, room_.data())) {
        if (address == policy::kNoAddress) size_ = kUnix.copy(room_.data(), kUnix.size());
    }
    std::string_view view() const { return {room_.data(), size_}; }

  private:
    static constexpr std::string_view kUnix = "unix:";
    std::array<char, 46> room_;
    std::size_t size_;
};

telemetry::Verdict name_of(policy::Verdict::Kind kind) {
    switch (kind) {
        case policy::Verdict::Kind::admitted: return telemetry::Verdict::allowed;
        case policy::Verdict::Kind::limited: return telemetry::Verdict::limited;
        case policy::Verdict::Kind::denied: return telemetry::Verdict::denied;
        case policy::Verdict::Kind::banned: return telemetry::Verdict::banned;
        case policy::Verdict::Kind::delayed: break;  // was held, and came to no decision
    }
    return telemetry::Verdict::none;
}

/// A path without the prefix that its route strips, if that is whole segments of it: /api is none of /apiary.
/// What is left may be empty: write_head puts the `/` before it.
std::string_view stripped(std::string_view origin, std::string_view prefix) {
    if (!origin.starts_with(prefix)) return origin;
    const std::string_view rest = origin.substr(prefix.size());
    const bool whole = rest.empty() || rest.front() == '/' || rest.front() == '?' || prefix.ends_with('/');
    return whole ? rest : origin;
}

/// Whether the upstream may be asked to change to the protocol that the client names: only where nothing of
/// the request is still to come, so that it is clear where HTTP ends.
bool may_change_protocol(const http::RequestHead& head) {
    return !head.upgrade.empty() && !head.framing.has_body() && !head.expect_continue;
}

}  // namespace

Exchange::Exchange(Context& context, Connection& client, Buffers& buffers)
    : context_(context),
      client_(client),
      buffers_(buffers),
      snapshot_(client.snapshot()),
      request_(client.stream(), buffers.request) {}

After Exchange::run(runtime::Time first_by) {
    const auto read = request_.read(snapshot_.config, first_by);
    if (!request_.begun()) return After::close;
    context_.telemetry.counters.request_started();
    if (!read) return malformed(read.error());
    if (context_.overloaded.load(std::memory_order_relaxed)) [[unlikely]]
        return shed();
    return serve();
}

// Who sent it is not known before its fields are: the peer, then.
[[gnu::noinline]] After Exchange::malformed(const Failure& failure) {
    const AddressText peer(client_.peer());
    outcome_.client = peer.view();
    return refuse(failure);
}

// Before anything is decided, so that it spends nothing. The connection goes too: its memory is needed.
[[gnu::noinline]] After Exchange::shed() {
    context_.telemetry.counters.request_shed();
    return refuse({Stage::decide, Source::ourselves, 503, false, "low on memory"});
}

After Exchange::serve() {
    const policy::Policy& policy = *snapshot_.policy;
    const policy::Identifier& identifier = policy.identifier();
    const policy::Client client = identifier.identify(client_.peer(), request_.head().fields);
    if (!identifier.own_field().empty()) [[unlikely]]
        request_.pass_on(identifier.own_field(), client.peer_trusted);
    const AddressText client_text(client.address);
    outcome_.client = client_text.view();
    if (client.ignored_fields) warn_about_ignored_fields();
    if (client.peer_trusted || client.ignored_fields || client_.entrance().proxy_protocol)
        watch_for_one_client(client.address);

    const policy::Request request{request_.head(), client_.entrance().name, client.address};
    const std::size_t route = policy.route(request);
    if (route == policy::Policy::kNoRoute && !policy.denied().contain(client.address)) {
        return refuse({Stage::route, Source::client, 404, false, "no route matches this request"});
    }
    policy::Verdict verdict = policy::decide(policy, context_.clients, request, route,
                                             request_.began().time_since_epoch().count(), &context_.waiting);
    policy::Slots slots(context_.clients, context_.waiting, verdict);
    if (verdict.kind == policy::Verdict::Kind::delayed) [[unlikely]] {
        if (const auto over = hold(verdict)) return *over;
    }
    outcome_.verdict = name_of(verdict.kind);
    if (verdict.shadow != nullptr) {
        outcome_.shadow_limited = true;
        outcome_.limit = verdict.shadow->settings.name;
    }

    if (verdict.kind == policy::Verdict::Kind::denied) {
        return refuse({Stage::decide, Source::client, 403, false, "this address is denied"});
    }
    if (verdict.kind == policy::Verdict::Kind::banned) return banned(verdict);
    if (verdict.kind == policy::Verdict::Kind::limited) return limited(verdict);
    const policy::Route& chosen = policy.routes()[route];
    if (chosen.settings->respond) return respond(*chosen.settings->respond, verdict);
    return forward(request, client, chosen, verdict, slots);
}

// Until a limit that holds the request has decided about it; or else how the exchange ends.
[[gnu::noinline]] std::optional<After> Exchange::hold(policy::Verdict& verdict) {
    using policy::Turn;
    const auto ended = [this]() -> std::optional<Turn> {
        if (client_.stream().hung_up()) return Turn::gone;
        if (context_.draining.load(std::memory_order_relaxed)) return Turn::draining;
        return std::nullopt;
    };
    switch (policy::await_turn(context_.clients, context_.waiting, verdict, ended, outcome_.delayed)) {
        case Turn::decided: return std::nullopt;
        case Turn::gone: return refuse(client_gone(Stage::decide));
        case Turn::draining: break;
    }
    return refuse({Stage::decide, Source::ourselves, 503, false, "the service is ending"});
}

// Once a minute at most: behind a proxy that nobody has declared, all its clients share one bucket.
void Exchange::warn_about_ignored_fields() {
    const auto held_back = context_.forwarding_ignored.permit(request_.began());
    if (!held_back) return;
    context_.telemetry.log.warn(
        "forwarding fields of a peer that is not trusted are replaced; if it is a proxy of yours, all its "
        "clients count as one",
        {{"peer", AddressText(client_.peer()).view()},
         {"setting", "client.trusted_proxies"},
         {"held_back", *held_back}});
}

// Once a minute at most. Without a proxy one client may well be alone, and there is nothing to set right.
[[gnu::noinline]] void Exchange::watch_for_one_client(const policy::Address& client) {
    std::optional<policy::OneClient::Found> found;
    context_.one_client.update([&](policy::OneClient& mine, telemetry::Adder add) {
        if (add.alone()) found = mine.count(client);
    });
    if (!found) [[likely]]
        return;
    const auto held_back = context_.one_client_found.permit(request_.began());
    if (!held_back) return;
    context_.telemetry.log.warn(
        "nearly all requests that come through proxies are of one client; if it is a proxy itself, or a "
        "proxy "
        "does not tell whom it asks for, all its clients count as one",
        {{"client", AddressText(found->client).view()},
         {"requests", found->requests},
         {"of_the_last", policy::OneClient::kWindow},
         {"settings", "client.trusted_proxies, client.address_from"},
         {"address_from", snapshot_.policy->identifier().field()},
         {"held_back", *held_back}});
}

After Exchange::forward(const policy::Request& request, const policy::Client& client,
                        const policy::Route& route, const policy::Verdict& verdict, policy::Slots& slots) {
    const AddressText peer(client_.peer());
    const RequestId id;
    const http::RequestHead& head = request.head;
    const bool keeps_id = client.peer_trusted && head.fields.has(http::FieldId::x_request_id);
    outcome_.request_id = keeps_id ? head.fields.value(http::FieldId::x_request_id) : id.text();

    upstream::Upstream& upstream = *snapshot_.upstreams[route.upstream];
    Forward forward(client_, request_, buffers_,
                    {.upstream = upstream,
                     .route = *route.settings,
                     .with = {.origin = stripped(head.origin, route.settings->strip_prefix),
                              .peer = client_.peer() == policy::kNoAddress ? "" : peer.view(),
                              .proto = client_.stream().secure() ? "https" : "http",
                              .request_id = id.text(),
                              .trusted = client.peer_trusted,
                              .upgrade = may_change_protocol(head),
                              .expect = true},
                     .verdict = verdict,
                     .snapshot = snapshot_,
                     .client_hash = upstream.spreads_by_client() ? hash_of(client.address) : 0});
    const Forward::Step done = forward.run(request_.began());
    note_forward(forward, upstream);
    if (!done) outcome_.failure = done.error().upstream;
    if (done && forward.changed_protocol()) return open_tunnel(forward, route, slots);
    if (done) {
        account();
        if (forward.keeps_client()) return After::next;
        return request_.body().done() ? last_answer() : After::linger;
    }
    if (!forward.begun() && done.error().status != 0) return fail(done.error(), verdict);
    outcome_.client_aborted = done.error().source == Source::client;
    account();
    // Also where it is the client that was given up on: it may read on, and find the end.
    return outcome_.client_aborted && !forward.begun() ? After::close : After::reset;
}

[[gnu::noinline]] After Exchange::open_tunnel(Forward& forward, const policy::Route& route,
                                              policy::Slots& slots) {
    complete_outcome();
    client_.change_to(std::make_unique<Tunnel>(context_,
                                               TunnelParts{.client = client_,
                                                           .upstream = snapshot_.upstreams[route.upstream],
                                                           .lease = forward.take_lease(),
                                                           .slots = slots.keep(),
                                                           .began = request_.began(),
                                                           .outcome = outcome_},
                                               snapshot_.config.timeouts));
    return After::tunnel;
}

// A request that was charged is told so, whatever became of it. Apart from forward(), whose frame lies below
// all of the relaying, so that this room does not.
[[gnu::noinline]] After Exchange::fail(const Failure& failure, const policy::Verdict& verdict) {
    std::array<char, policy::kRateFieldsRoom> fields;
    return refuse(failure, policy::write_rate_fields(verdict, snapshot_.config.response.headers, fields));
}

// Addresses inside one prefix are one client here, too.
std::uint64_t Exchange::hash_of(const policy::Address& client) const {
    const config::Client& settings = snapshot_.config.client;
    const auto key = limit::ClientKey::of_address(client, {static_cast<std::uint8_t>(settings.ipv4_prefix),
                                                           static_cast<std::uint8_t>(settings.ipv6_prefix)});
    return upstream::mix(key.high()) ^ key.low();
}

void Exchange::note_forward(const Forward& forward, const upstream::Upstream& upstream) {
    const Forward::Figures& figures = forward.figures();
    outcome_.upstream = upstream.name();
    if (figures.server != nullptr) outcome_.server = figures.server->address();
    outcome_.upstream_duration = figures.until_head;
    outcome_.retries = figures.retries;
    outcome_.status = static_cast<std::uint16_t>(figures.status);
    outcome_.bytes_out = figures.bytes_out;
}

[[gnu::noinline]] After Exchange::banned(const policy::Verdict& verdict) {
    if (verdict.banned_by) outcome_.limit = verdict.banned_by->settings.name;
    std::array<char, 64> room;
    http::Writer retry(room);
    retry << "Retry-After: " << policy::whole_seconds(verdict.banned_for) << "\r\n";
    return refuse({Stage::decide, Source::client, 403, false, "this client is banned for now"}, retry.text());
}

// A second at least lies between two lines: whoever is banned by the thousand fills no disk.
[[gnu::noinline]] void Exchange::tell_of_ban(const policy::Verdict& verdict) {
    const policy::Limit& limit = *verdict.refused_by->limit;
    const policy::KeyText key(limit, verdict.refused_by->key);
    auto& log = context_.telemetry.log;
    if (verdict.strike == limit::Bans::Strike::no_room) {
        if (const auto held_back = context_.bans_without_room.permit(request_.began()))
            log.warn("not banned: there are as many bans as clients.max; the limit goes on refusing",
                     {{"limit", limit.settings.name}, {"key", key.view()}, {"held_back", *held_back}});
    } else if (const auto held_back = context_.bans_made.permit(request_.began())) {
        log.info("banned", {{"limit", limit.settings.name},
                            {"key", key.view()},
                            {"seconds", policy::whole_seconds(limit.ban->duration)},
                            {"held_back", *held_back}});
    }
}

After Exchange::limited(const policy::Verdict& verdict) {
    const policy::Limit& limit = *verdict.refused_by->limit;
    if (verdict.strike != limit::Bans::Strike::counted) [[unlikely]]
        tell_of_ban(verdict);
    outcome_.limit = limit.settings.name;
    const config::Response& format = snapshot_.config.response;
    std::array<char, policy::kRateFieldsRoom> fields;
    std::string large;  // a body of the operator's that outgrows the buffer
    std::span<char> room = buffers_.upstream;
    if (format.body.size() > room.size() / 2) {
        large.resize(policy::refusal_body_size(verdict, format));
        room = large;
    }
    const policy::RefusalBody body = policy::write_refusal_body(verdict, format, room);
    return reply({.status = static_cast<int>(limit.settings.status),
                  .content_type = body.content_type,
                  .extra = policy::write_rate_fields(verdict, format.headers, fields),
                  .body = body.body});
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

// An answer of our own to a request that was read well. A small body goes with the head, as one piece, which
// the kernel takes faster than two; a large one stays where it is.
After Exchange::reply(http::Reply reply) {
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
    return send(http::write_reply(reply, buffers_.answer), apart ? reply.body : std::string_view(), keep);
}

// An error of the proxy's own. What was not a request that could be read ends the connection.
After Exchange::refuse(const Failure& failure, std::string_view extra) {
    if (failure.status == 0) {
        outcome_.client_aborted = true;
        account();
        return After::close;
    }
    const bool well_formed = failure.stage != Stage::read_head && failure.stage != Stage::read_body;
    const bool keep = well_formed && failure.status != 503 && may_keep();
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
    const After after = send(http::write_problem(reply, failure.reason, buffers_.answer), {}, keep);
    return after == After::linger && !well_formed ? After::cut_short : after;
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
    write_all(client_.stream(), std::span(pieces).first(body.empty() ? 1 : 2), request_.began(),
              snapshot_.config.timeouts.write, error);
    outcome_.client_aborted = static_cast<bool>(error);
    account();
    if (error) return After::close;
    const bool whole = request_.complete() && request_.body().done();
    if (!keep) return whole ? last_answer() : After::linger;
    return whole || request_.drain(snapshot_.config.timeouts.body) ? After::next : After::linger;
}

// It is we who end the connection, though the client has sent more already: closing at once would be a reset.
After Exchange::last_answer() const {
    const bool more = !buffers_.request.empty() || client_.stream().has_unread_event();
    return request_.head().keep_alive && more ? After::linger : After::close;
}

void Exchange::account() {
    complete_outcome();
    context_.telemetry.account(outcome_);
}

void Exchange::complete_outcome() {
    const http::RequestHead& head = request_.head();
    outcome_.method = head.method_text;
    outcome_.target = head.target;
    if (request_.complete()) outcome_.host = head.host;
    outcome_.bytes_in = request_.body_bytes();
    ended_ = runtime::now();
    outcome_.duration = ended_ - request_.began();
}

}  // namespace sluice::proxy
