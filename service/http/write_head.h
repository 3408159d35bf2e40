#pragma once

// Writes heads into memory of the caller's: what was received, less what belongs to the connection it came
// by, plus what this proxy says itself. Framing and Host are always written anew, never copied. Nothing is
// allocated.

#include <span>
#include <string_view>

#include "service/http/head.h"

namespace sluice::http {

/// What the proxy adds to, and decides about, a request that goes on.
struct UpstreamRequest {
    std::string_view
        origin;             // path and query to ask for; `/` is put before it unless it begins so (or is `*`)
    std::string_view host;  // for the Host field
    std::string_view peer;  // address for X-Forwarded-For; empty: it has none
    std::string_view proto;       // "http" or "https", for X-Forwarded-Proto
    std::string_view request_id;  // for X-Request-Id
    /// The peer is a trusted proxy: X-Forwarded-For is appended to and the other forwarding fields are kept;
    /// otherwise whatever the client says of itself there is dropped.
    bool trusted = false;
    bool upgrade = false;  // ask for head.upgrade
    bool expect = false;   // pass head.expect_continue on
};

/// The head to send upstream, at the front of `room`; empty: it does not fit. The body is to be framed as
/// head.framing says.
std::string_view write_request_head(const RequestHead& head, const UpstreamRequest& with,
                                    std::span<char> room);

/// What the proxy adds to, and decides about, an answer that goes on.
struct ClientResponse {
    Framing framing;         // of the body as it is sent to the client
    int minor = 1;           // of the client's version
    bool keep_alive = true;  // whether the client's connection goes on behind the message
    FieldSet drop;           // fields of the upstream's that do not go on
    std::string_view extra;  // complete lines, each with its CRLF: rate-limit fields, …
    std::string_view date;   // for the Date field if the upstream sent none. Empty: then there is none
};

/// The head to send to the client, at the front of `room`; empty: it does not fit. Content-Length of an
/// answer that has no body (to HEAD, 304) goes on as the upstream sent it.
std::string_view write_response_head(const ResponseHead& head, const ClientResponse& with,
                                     std::span<char> room);

}  // namespace sluice::http
