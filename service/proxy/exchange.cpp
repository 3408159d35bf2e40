#include "service/proxy/exchange.h"

#include "service/http/path.h"
#include "service/policy/slots.h"
#include "service/policy/turn.h"
#include "service/proxy/address_text.h"
#include "service/proxy/connection.h"
#include "service/proxy/stamps.h"
#include "service/proxy/tunnel.h"
#include "service/proxy/warnings.h"

namespace sluice::proxy {

namespace {

using telemetry::UpstreamFailure;

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
      request_(client.stream(), buffers.request),
      asker_(client.peer()) {}

After Exchange::run(runtime::Time first_by, runtime::Time reported) {
    const auto read = request_.read(snapshot_.config, first_by, reported);
    if (!request_.begun()) return After::close;
    now_ = request_.arrived();
    context_.telemetry.counters.request_started();
    if (!read) return refuse(read.error());
    if (context_.overloaded.load(std::memory_order_relaxed)) [[unlikely]]
        return shed();
    try {
        return serve();
    } catch (const std::bad_alloc&) {
        return out_of_memory();
    }
}

// What has been sent of an answer cannot be known here: a reset ends it in any case.
[[gnu::noinline]] After Exchange::out_of_memory() {
    outcome_.status = 503;
    account();
    return After::reset;
}

// Before anything is decided, so that it spends nothing. The connection goes too: its memory is needed.
[[gnu::noinline]] After Exchange::shed() {
    context_.telemetry.counters.request_shed();
    return refuse({Stage::decide, Source::ourselves, 503, false, "low on memory"});
}

After Exchange::serve() {
    if (client_.misdirected(request_.head().host)) [[unlikely]]
        return refuse({Stage::route, Source::client, 421, false,
                       "this host asks for a client certificate: connect anew, by its name"});
    const policy::Policy& policy = *snapshot_.policy;
    const policy::Identifier& identifier = policy.identifier();
    const policy::Client client = identifier.identify(client_.peer(), request_.head().fields);
    if (!identifier.own_field().empty()) [[unlikely]]
        request_.pass_on(identifier.own_field(), client.peer_trusted);
    asker_ = client.address;
    if (client.ignored_fields) warn_of_ignored_fields(context_, client_.peer(), now_);
    if (client.peer_trusted || client.ignored_fields || client_.entrance().proxy_protocol)
        watch_for_one_client(context_, client.address, identifier.field(), now_);

    const policy::Request request{request_.head(), client_.entrance().name, client.address};
    const std::size_t route = policy.route(request);
    const limit::Nanos now = now_.time_since_epoch().count();
    if (route == policy::Policy::kNoRoute && !policy.denied().contain(client.address)) {
        // No limit is asked about what goes nowhere. Whoever is shut out whatever they ask for is told so.
        if (const auto shut_out = policy::shut_out(context_.clients.bans(), client.address, now))
            [[unlikely]] {
            outcome_.verdict = policy::account_of(shut_out->kind);
            return banned(*shut_out);
        }
        return refuse({Stage::route, Source::client, 404, false, "no route matches this request"});
    }
    if (route != policy::Policy::kNoRoute) outcome_.route = static_cast<std::uint32_t>(route);
    policy::Verdict verdict =
        policy::decide(policy, context_.clients, request, route, now, &context_.waiting);
    policy::Slots slots(context_.clients, context_.waiting, verdict);
    slots_ = &slots;
    if (verdict.kind == policy::Verdict::Kind::delayed) [[unlikely]] {
        if (const auto over = hold(verdict)) return *over;
    }
    outcome_.verdict = policy::account_of(verdict.kind);
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
    const policy::Turn turn =
        policy::await_turn(context_.clients, context_.waiting, verdict, asker_, ended, outcome_.delayed);
    now_ = runtime::now();
    switch (turn) {
        case Turn::decided: return std::nullopt;
        case Turn::gone: return refuse(client_gone(Stage::decide));
        case Turn::draining: break;
    }
    return refuse({Stage::decide, Source::ourselves, 503, false, "the service is ending"});
}

After Exchange::forward(const policy::Request& request, const policy::Client& client,
                        const policy::Route& route, const policy::Verdict& verdict, policy::Slots& slots) {
    const http::RequestHead& head = request.head;
    const auto origin = http::without_prefix(head.origin, route.settings->strip_prefix);
    if (!origin) {
        return fail({Stage::route, Source::client, 400, false,
                     "without the prefix that is stripped, this path would lead elsewhere"},
                    verdict);
    }
    const AddressText peer(client_.peer());
    const RequestId id;
    const bool keeps_id = client.peer_trusted && head.fields.has(http::FieldId::x_request_id);
    outcome_.request_id = keeps_id ? head.fields.value(http::FieldId::x_request_id) : id.text();

    upstream::Upstream& upstream = *snapshot_.upstreams[route.upstream];
    Forward forward(client_, request_, buffers_,
                    {.upstream = upstream,
                     .route = *route.settings,
                     .with = {.origin = *origin,
                              .peer = client_.peer() == policy::kNoAddress ? "" : peer.view(),
                              .proto = client_.stream().secure() ? "https" : "http",
                              .request_id = id.text(),
                              .trusted = client.peer_trusted,
                              .upgrade = may_change_protocol(head),
                              .expect = true},
                     .verdict = verdict,
                     .slots = slots,
                     .snapshot = snapshot_,
                     .client_hash = upstream.spreads_by_client() ? hash_of(client.address) : 0});
    const Forward::Step done = forward.run(now_);
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
    const AddressText asker(asker_);
    outcome_.client = asker.view();
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

void Exchange::account() {
    complete_outcome();
    std::optional<AddressText> asker;
    if (context_.telemetry.access.wants(outcome_)) outcome_.client = asker.emplace(asker_).view();
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
