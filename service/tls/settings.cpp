#include "service/tls/settings.h"

namespace sluice::tls {

namespace {

constexpr const char* kCiphers12 = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256:P-384";

}  // namespace

ContextPtr new_context(const SSL_METHOD* method) {
    ContextPtr context(SSL_CTX_new(method));
    if (!context) return nullptr;
    SSL_CTX* const c = context.get();
    if (SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(c, kCiphers12) != 1 || SSL_CTX_set1_groups_list(c, kGroups) != 1) {
        return nullptr;
    }
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // A partial write tells how far it came; the retry of a write finds its bytes elsewhere (another thread's
    // gather_room()); buffers are held only while they hold something.
    SSL_CTX_set_mode(
        c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);  // a record by one system call, not two
    return context;
}

}  // namespace sluice::tls
