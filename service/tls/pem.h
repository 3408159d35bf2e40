#pragma once

// Certificates and keys from files (PEM). Blocks on the disk. The errors are for who wrote the configuration:
// what is wrong with the file, without its name.

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/tls/openssl.h"

namespace sluice::tls {

/// A certificate with those that sign it, in the order of the file, and its key.
struct Identity {
    std::vector<CertificatePtr> chain;  // not empty
    KeyPtr key;
};

/// The certificates of a file, at least one, at most 1,000 and 1 MiB.
std::expected<std::vector<CertificatePtr>, std::string> read_certificates(const std::string& file);
/// The private key of a file; one that asks for a passphrase is an error.
std::expected<KeyPtr, std::string> read_key(const std::string& file);
/// Both, which must belong together.
std::expected<Identity, std::string> read_identity(const std::string& certificate, const std::string& key);

/// The names that a certificate is for, in lower case: its DNS names, or its common name when there are none.
std::vector<std::string> names_of(X509& certificate);
/// Whether `name`, of a certificate and in lower case, covers `host`, in any: the same, or *.example.com for
/// one label before it.
bool covers(std::string_view name, std::string_view host) noexcept;

/// The SHA-256 of a certificate, 32 bytes.
std::string fingerprint(const X509& certificate);

// For the check of a configuration: what is wrong, or nothing.
std::optional<std::string> wrong_chain(const std::string& certificate);
std::optional<std::string> wrong_key(const std::string& key, const std::string& certificate);
std::optional<std::string> wrong_authorities(const std::string& file);

}  // namespace sluice::tls
