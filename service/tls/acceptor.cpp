#include "service/tls/acceptor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "service/tls/pem.h"
#include "service/tls/reason.h"
#include "service/tls/session.h"
#include "service/tls/settings.h"

namespace sluice::tls {

namespace {

constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

std::unexpected<std::string> failed(const std::string& what) {
    return std::unexpected(what + ": " + openssl_reason());
}

// The host of a ClientHello (RFC 6066 §3), as long as that is there; empty when there is none.
std::string_view host_of(SSL* hello) noexcept {
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(hello, TLSEXT_TYPE_server_name, &data, &size) != 1) return {};
    // A list with its size, of which the first is a kind (0: host) and a name with its size.
    if (size < 5 || data[2] != TLSEXT_NAMETYPE_host_name) return {};
    const std::size_t length = std::size_t{data[3]} << 8 | data[4];
    if (length > size - 5 || length > TLSEXT_MAXLEN_host_name) return {};
    return {reinterpret_cast<const char*>(data + 5), length};
}

// What a session must have in common with the one it resumes: the certificate that the server showed, and
// those that clients are judged by.
std::array<unsigned char, SHA256_DIGEST_LENGTH> context_id(const Identity& identity,
                                                           const std::vector<CertificatePtr>& authorities) {
    std::string text = fingerprint(*identity.chain.front());
    for (const auto& each : authorities) text += fingerprint(*each);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> id;
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), id.data());
    return id;
}

bool use(SSL_CTX* context, const Identity& identity) {
    if (SSL_CTX_use_certificate(context, identity.chain.front().get()) != 1) return false;
    for (std::size_t i = 1; i < identity.chain.size(); ++i)
        if (SSL_CTX_add1_chain_cert(context, identity.chain[i].get()) != 1) return false;
    return SSL_CTX_use_PrivateKey(context, identity.key.get()) == 1;
}

bool ask_for_certificate(SSL_CTX* context, const std::vector<CertificatePtr>& authorities) {
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    for (const auto& each : authorities) {
        if (X509_STORE_add_cert(store, each.get()) != 1) return false;
        if (SSL_CTX_add_client_CA(context, each.get()) != 1) return false;
    }
    // An intermediate alone may be trusted, as whoever wrote it there means.
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return true;
}

}  // namespace

Acceptor::~Acceptor() = default;

std::expected<std::shared_ptr<const Acceptor>, std::string> Acceptor::make(std::span<const Files> entries,
                                                                           std::shared_ptr<TicketKeys> keys) {
    std::shared_ptr<Acceptor> made(new Acceptor(std::move(keys)));
    for (const Files& files : entries) {
        auto entry = made->open(files);
        if (!entry) return std::unexpected(entry.error());
        made->entries_.push_back(std::move(*entry));
    }
    return made;
}

std::expected<Acceptor::Entry, std::string> Acceptor::open(const Files& files) {
    const auto identity = read_identity(files.certificate, files.key);
    if (!identity) return std::unexpected(identity.error());
    std::vector<CertificatePtr> authorities;
    if (!files.client_ca.empty()) {
        auto read = read_certificates(files.client_ca);
        if (!read) return std::unexpected(files.client_ca + " " + read.error());
        authorities = std::move(*read);
    }
    Entry entry{new_context(TLS_server_method()), names_of(*identity->chain.front())};
    SSL_CTX* const context = entry.context.get();
    if (context == nullptr) return failed("no TLS");
    if (!use(context, *identity)) return failed(files.certificate + " cannot be used");
    if (!authorities.empty() && !ask_for_certificate(context, authorities))
        return failed(files.client_ca + " cannot be used");
    const auto id = context_id(*identity, authorities);
    SSL_CTX_set_session_id_context(context, id.data(), id.size());
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::kLife).count());
    SSL_CTX_set_app_data(context, keys_.get());
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &Acceptor::ticket_key);
    SSL_CTX_set_alpn_select_cb(context, &Acceptor::choose_protocol, nullptr);
    SSL_CTX_set_client_hello_cb(context, &Acceptor::choose_entry, this);
    return entry;
}

const Acceptor::Entry& Acceptor::entry_for(std::string_view host) const noexcept {
    if (host.ends_with('.')) host.remove_suffix(1);
    for (const bool wildcards : {false, true}) {
        for (const Entry& entry : entries_) {
            for (const std::string& name : entry.names)
                if (name.starts_with('*') == wildcards && covers(name, host)) return entry;
        }
    }
    return entries_.front();
}

std::size_t Acceptor::entry_of(std::string_view host) const {
    return static_cast<std::size_t>(&entry_for(host) - entries_.data());
}

// Before anything of the hello is acted upon, so that all of it (the certificate, who may resume, whether the
// client must show one) is decided by the same entry.
int Acceptor::choose_entry(SSL* ssl, int*, void* self) noexcept {
    const auto& acceptor = *static_cast<const Acceptor*>(self);
    if (acceptor.entries_.size() == 1) return SSL_CLIENT_HELLO_SUCCESS;
    SSL_CTX* const context = acceptor.entry_for(host_of(ssl)).context.get();
    if (SSL_set_SSL_CTX(ssl, context) == nullptr) return SSL_CLIENT_HELLO_ERROR;
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), nullptr);
    return SSL_CLIENT_HELLO_SUCCESS;
}

int Acceptor::choose_protocol(SSL*, const unsigned char** out, unsigned char* size,
                              const unsigned char* offered, unsigned offered_size, void*) noexcept {
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, size, kHttp11, sizeof kHttp11, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

int Acceptor::ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int making) noexcept {
    auto& keys = *static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    const runtime::Time now = runtime::now();
    TicketKey key;
    bool fresh = true;
    if (making == 1) {
        const auto current = keys.current(now);
        if (!current || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
        key = *current;
        std::memcpy(name, key.name.data(), key.name.size());
    } else {
        const auto found = keys.find(name, now);
        if (!found) return 0;  // a whole handshake instead
        key = found->key;
        fresh = found->fresh;
    }
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, making) != 1 ||
        EVP_MAC_CTX_set_params(mac, parameters) != 1) {
        return -1;
    }
    // TLS 1.3 gives a new ticket each time anyway.
    return making == 1 || fresh ? 1 : 2;
}

std::expected<Acceptor::Accepted, Acceptor::Refused> Acceptor::accept(runtime::TcpStream& tcp,
                                                                      std::span<const char> early) const {
    SslPtr ssl(SSL_new(entries_.front().context.get()));
    if (!ssl) return std::unexpected(Refused{"out of memory", false});
    SSL_set_accept_state(ssl.get());
    SessionPtr session(new Session(std::move(ssl)));
    session->begin_with(early);
    tcp.write_deadline(tcp.read_deadline());
    if (auto done = session->handshake(tcp); !done)
        return std::unexpected(Refused{std::move(done.error().reason), done.error().plain_http});
    const SSL_CTX* const chosen = SSL_get_SSL_CTX(session->ssl());
    const auto entry =
        std::ranges::find_if(entries_, [&](const Entry& each) { return each.context.get() == chosen; });
    return Accepted{std::move(session), static_cast<std::size_t>(entry - entries_.begin())};
}

}  // namespace sluice::tls
