#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/time.h"

namespace sluice::telemetry {

/// What was decided about a request. `none`: it never came to a decision (a malformed head, no route, a
/// client that left). A delayed request that got its turn is `allowed`.
enum class Verdict : std::uint8_t { none, allowed, limited, denied, banned };
inline constexpr std::size_t kVerdicts = 5;

/// Why the upstream did not answer a request as it should have.
enum class UpstreamFailure : std::uint8_t {
    none,
    connect,           // refused, unreachable, no such name
    connect_timeout,   // no connection within connect_timeout
    tls,               // the handshake or the certificate
    response_timeout,  // no complete head within response_timeout
    stall_timeout,     // a body stood still for stall_timeout
    reset,             // closed or reset before the answer was complete
    invalid,           // what it sent is not an HTTP answer that can be passed on
    no_server,         // no healthy server
    busy,              // max_connections reached, none came free in time
};
inline constexpr std::size_t kUpstreamFailures = 10;

/// As metrics and logs name them: "allowed", "connect_timeout".
std::string_view name(Verdict verdict) noexcept;
std::string_view name(UpstreamFailure failure) noexcept;

/// One request, told at its end: what account() is given exactly once on every path. The views need to live
/// only until account() returns. What is empty or zero is left out of the access log.
struct RequestOutcome {
    // The decision.
    Verdict verdict = Verdict::none;
    bool delayed = false;         // held until its turn, then let through or refused
    bool shadow_limited = false;  // a limit in shadow mode would have refused it
    std::string_view limit;       // the limit that refused (or would have, in shadow mode)
    std::string_view client;      // the client as the log shows it: its address

    // The request.
    std::string_view method;
    std::string_view host;
    std::string_view target;  // as received, the query included
    std::string_view request_id;
    std::optional<std::uint32_t> route;  // its place in the configuration

    // The answer.
    std::uint16_t status = 0;      // what the client was sent; 0 when it left before an answer began
    bool client_aborted = false;   // it left before the answer was complete
    std::uint64_t bytes_in = 0;    // body bytes, as received from the client
    std::uint64_t bytes_out = 0;   // body bytes, as sent to the client
    runtime::Duration duration{};  // from the first byte of the head to the last of the answer

    // The upstream. `upstream` is empty when the answer is our own.
    std::string_view upstream;
    std::string_view server;
    runtime::Duration upstream_duration{};  // from when it was turned to until its head was complete
    UpstreamFailure failure = UpstreamFailure::none;
    std::uint8_t retries = 0;

    bool forwarded() const { return !upstream.empty(); }
};

}  // namespace sluice::telemetry
