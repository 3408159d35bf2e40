#pragma once

// What both sides of a handshake have in common.

#include "service/tls/openssl.h"

namespace sluice::tls {

/// A context for TLS 1.2 and 1.3 with forward secrecy and authenticated encryption only; without
/// renegotiation and compression; whose connections keep no buffer while idle. Null when out of memory.
ContextPtr new_context(const SSL_METHOD* method);

}  // namespace sluice::tls
