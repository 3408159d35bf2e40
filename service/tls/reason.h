#pragma once

#include <string>

#include <openssl/ssl.h>

#include "runtime/tcp.h"

namespace sluice::tls {

// What OpenSSL has queued on this thread, in words, the cause first; the queue is empty afterwards. Empty
// when there is nothing.
std::string openssl_reason();

// Why a handshake failed: `error` is the socket's or step's, `at_end` that the peer had closed. Takes
// OpenSSL's queue.
std::string handshake_reason(const SSL& ssl, const runtime::error_code& error, bool at_end);

}  // namespace sluice::tls
