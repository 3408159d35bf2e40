#include "service/tls/connector.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "service/tls/pem.h"
#include "service/tls/reason.h"
#include "service/tls/session.h"
#include "service/tls/settings.h"

namespace sluice::tls {

namespace {

constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

bool is_address(const std::string& name) {
    ASN1_OCTET_STRING* const address = a2i_IPADDRESS(name.c_str());
    ERR_clear_error();
    const bool is = address != nullptr;
    ASN1_OCTET_STRING_free(address);
    return is;
}

std::string digest(const std::string& text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> room;
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), room.data(), &size, EVP_sha256(), nullptr);
    return {room.begin(), room.begin() + size};
}

std::string joined(std::vector<std::string> parts) {
    std::ranges::sort(parts);  // the system says them in any order
    std::string all;
    for (const std::string& each : parts) all += each;
    return all;
}

// Of those that are loaded: of the system's, the ones that are together in one file.
std::string fingerprints(X509_STORE* store) {
    std::vector<std::string> all;
    const STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(store);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i)
        if (const X509* const each = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)))
            all.push_back(fingerprint(*each));
    return joined(std::move(all));
}

// The others lie in folders, one to a file. OpenSSL reads one when it is asked for, and then keeps it.
std::string marks_of_system_folders() {
    const char* const set = ::secure_getenv(X509_get_default_cert_dir_env());
    std::istringstream folders(set != nullptr ? set : X509_get_default_cert_dir());
    std::vector<std::string> all;
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::error_code error;
        for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
             at.increment(error)) {
            struct stat is{};
            if (::stat(at->path().c_str(), &is) != 0) continue;
            std::ostringstream mark;
            mark << at->path().native() << ' ' << is.st_dev << ' ' << is.st_ino << ' ' << is.st_size << ' '
                 << is.st_mtim.tv_sec << '.' << is.st_mtim.tv_nsec << '\n';
            all.push_back(std::move(mark).str());
        }
    }
    return joined(std::move(all));
}

}  // namespace

SessionTicketPtr Resumption::last() const {
    const std::scoped_lock hold(lock_);
    if (session_) SSL_SESSION_up_ref(session_.get());
    return SessionTicketPtr(session_.get());
}

void Resumption::keep(SessionTicketPtr session) {
    const std::scoped_lock hold(lock_);
    session_.swap(session);  // the old one goes without the lock
}

std::expected<std::shared_ptr<const Connector>, std::string> Connector::make(const Settings& settings) {
    ContextPtr context = new_context(TLS_client_method());
    if (!context) return std::unexpected("no TLS: " + openssl_reason());
    SSL_CTX* const c = context.get();
    std::string authorities;
    if (!settings.verify) {
        SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
    } else {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        if (settings.ca.empty()) {
            if (SSL_CTX_set_default_verify_paths(c) != 1)
                return std::unexpected("the system's certificates cannot be read: " + openssl_reason());
            authorities = digest(fingerprints(SSL_CTX_get_cert_store(c)) + marks_of_system_folders());
        } else {
            const auto read = read_certificates(settings.ca);
            if (!read) return std::unexpected(settings.ca + " " + read.error());
            X509_STORE* const store = SSL_CTX_get_cert_store(c);
            for (const auto& each : *read) {
                X509_STORE_add_cert(store, each.get());
                authorities += fingerprint(*each);
            }
            X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);  // also a server's own certificate
        }
    }
    SSL_CTX_set_alpn_protos(c, kHttp11, sizeof kHttp11);
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c, &Connector::new_session);
    return std::shared_ptr<const Connector>(
        new Connector(settings, std::move(context), std::move(authorities)));
}

bool same(const Connector* one, const Connector* other) {
    if (one == nullptr || other == nullptr) return one == other;
    return one->settings_ == other->settings_ && one->authorities_ == other->authorities_;
}

int Connector::new_session(SSL* ssl, SSL_SESSION* session) {
    auto* const resumption = static_cast<Resumption*>(SSL_get_app_data(ssl));
    if (resumption == nullptr) return 0;
    resumption->keep(SessionTicketPtr(session));
    return 1;  // the reference is ours
}

// An address is no server name (RFC 6066 §3).
bool Connector::name_peer(SSL* ssl, const std::string& name) const {
    if (name.empty()) return !settings_.verify;
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl);
    if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size()) == 1 &&
           SSL_set_tlsext_host_name(ssl, name.c_str()) == 1;
}

std::expected<SessionPtr, std::string> Connector::begin(const std::string& host,
                                                        Resumption& resumption) const {
    SslPtr ssl(SSL_new(context_.get()));
    if (!ssl) return std::unexpected("out of memory");
    const std::string& name = settings_.server_name.empty() ? host : settings_.server_name;
    if (!name_peer(ssl.get(), name)) return std::unexpected("no server name to verify");
    if (const SessionTicketPtr last = resumption.last()) SSL_set_session(ssl.get(), last.get());
    SSL_set_app_data(ssl.get(), &resumption);
    SSL_set_connect_state(ssl.get());
    return SessionPtr(new Session(std::move(ssl)));
}

}  // namespace sluice::tls
