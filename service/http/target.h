#pragma once

// The target of a request and whom it is for (RFC 9112 §3.2).

#include <expected>
#include <string_view>

#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// `HOST[:PORT]`: the host in it, or nothing if it is not well-formed: a name of letters, digits and `-._~`,
/// or an IP address, IPv6 in brackets; a port of 1 to 65535. Stricter than RFC 3986, which would let in
/// `%41`, `a,b` and an empty port.
std::string_view host_of(std::string_view authority);

/// Fills in origin, path, query, authority and host from target and the Host field.
std::expected<void, Refusal> read_target(RequestHead& head);

}  // namespace sluice::http
