#pragma once

// Has a request answered by an upstream: acquires a connection, writes the head, relays the body there and
// the answer back, and releases the connection. Tries again where that is safe (RFC 9110, section 9.2.2; what
// breaks how is in tests/integration/conformance/test_faults.py). An answer that changes the protocol, as the
// request has asked, leaves the connection to a tunnel.

#include <cstdint>
#include <expected>
#include <utility>

#include "service/http/write_head.h"
#include "service/policy/decide.h"
#include "service/policy/slots.h"
#include "service/proxy/buffers.h"
#include "service/proxy/context.h"
#include "service/proxy/failure.h"
#include "service/proxy/incoming.h"
#include "service/proxy/relay.h"
#include "service/proxy/upload.h"

namespace sluice::proxy {

class Connection;

/// What is decided about a request that goes on, before it does.
struct Forwarding {
    upstream::Upstream& upstream;
    const config::Route& route;
    http::UpstreamRequest with;  // but `host`, which may depend on the server
    const policy::Verdict& verdict;
    policy::Slots& slots;
    const Snapshot& snapshot;
    std::uint64_t client_hash = 0;  // if the upstream spreads by client
};

class Forward {
  public:
    using Step = std::expected<void, Failure>;

    Forward(Connection& client, Incoming& request, Buffers& buffers, const Forwarding& how)
        : client_(client), request_(request), buffers_(buffers), how_(how) {}

    /// Parks until the answer has been relayed, or cannot be.
    Step run(runtime::Time now);

    /// After a failure: whether a part of a final answer has gone to the client already.
    bool begun() const { return begun_; }
    /// Whether the client's connection can go on: both messages ended where they should.
    bool keeps_client() const { return keeps_client_; }
    /// Whether the answer was a 101, so that neither connection speaks HTTP any more.
    bool changed_protocol() const { return changed_protocol_; }
    /// The upstream's end of the tunnel. REQUIRES: changed_protocol(); once.
    upstream::Lease take_lease() { return std::move(lease_); }

    struct Figures {
        int status = 0;  // of the answer that was relayed; 0: none
        std::uint64_t bytes_out = 0;
        const upstream::Server* server = nullptr;  // the last that was asked
        runtime::Duration until_head{};            // since run()
        std::uint8_t retries = 0;
    };
    const Figures& figures() const { return figures_; }

  private:
    Step attempt(upstream::Tried& tried, const upstream::Server* stale, runtime::Time now);
    std::string_view write_head(const upstream::Server& server);
    Step receive_head(http::ResponseHead& head, Upload& upload);
    Step interim(const http::ResponseHead& head);
    runtime::Time head_deadline(const Upload& upload) const;
    Failure no_head(const runtime::error_code& error, const Upload& upload) const;
    bool asked_for(const http::ResponseHead& head) const;
    Step change_protocol(const http::ResponseHead& head);
    Step relay(const http::ResponseHead& head);
    std::string_view answer_head(const http::ResponseHead& head, Relay::Framing framing);
    void release(const http::ResponseHead& head, bool nothing_behind);
    bool may_repeat(bool uploaded) const;
    void blame(const Failure& failure);

    std::span<char> unread() { return std::span(buffers_.upstream).subspan(read_, filled_ - read_); }

    // Fixed.
    Connection& client_;
    Incoming& request_;
    Buffers& buffers_;
    const Forwarding how_;

    runtime::Time started_{};

    // Of the attempt under way.
    upstream::Lease lease_;
    bool sent_whole_ = false;  // all of the request, not only read from the client
    bool met_reset_ = false;   // where it was being sent
    runtime::Time sent_{};
    runtime::Time now_{};   // as read when the last bytes came
    std::size_t read_ = 0;  // of Buffers::upstream, what was received lies in [read_, filled_)
    std::size_t filled_ = 0;
    bool heard_ = false;  // whether any of an answer has come

    bool begun_ = false;
    bool keeps_client_ = false;
    bool changed_protocol_ = false;
    Figures figures_;
};

}  // namespace sluice::proxy
