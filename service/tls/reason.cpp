#include "service/tls/reason.h"

#include <boost/asio/error.hpp>
#include <openssl/err.h>
#include <openssl/x509.h>

namespace sluice::tls {

std::string openssl_reason() {
    std::string reason;
    while (const unsigned long code = ERR_get_error()) {
        const char* const text = ERR_reason_error_string(code);
        if (text == nullptr || reason.find(text) != std::string::npos) continue;
        if (!reason.empty()) reason += ": ";
        reason += text;
    }
    return reason;
}

std::string handshake_reason(const SSL& ssl, const runtime::error_code& error, bool at_end) {
    std::string reason = openssl_reason();
    if (error == boost::asio::error::timed_out) return "the handshake took too long";
    if (at_end) return "the peer closed the connection during the handshake";
    if (const long verdict = SSL_get_verify_result(&ssl); verdict != X509_V_OK) {
        reason += reason.empty() ? "" : ": ";
        reason += X509_verify_cert_error_string(verdict);
    }
    return reason.empty() ? error.message() : reason;
}

}  // namespace sluice::tls
