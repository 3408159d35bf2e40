#pragma once

// OpenSSL's objects with an owner each.

#include <memory>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace sluice::tls {

template <auto free>
struct FreeBy {
    void operator()(auto* object) const noexcept { free(object); }
};

using BioPtr = std::unique_ptr<BIO, FreeBy<&BIO_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeBy<&EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, FreeBy<&X509_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, FreeBy<&SSL_CTX_free>>;
using SessionTicketPtr = std::unique_ptr<SSL_SESSION, FreeBy<&SSL_SESSION_free>>;
using SslPtr = std::unique_ptr<SSL, FreeBy<&SSL_free>>;

}  // namespace sluice::tls
