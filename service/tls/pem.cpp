#include "service/tls/pem.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/tls/reason.h"

namespace sluice::tls {

namespace {

constexpr std::size_t kBytesMax = 1 << 20;
constexpr std::size_t kCertificatesMax = 1000;

using Text = std::expected<std::string, std::string>;

std::unexpected<std::string> system_error(int error) {
    return std::unexpected("cannot be read: " + std::generic_category().message(error));
}

Text read_all(int descriptor) {
    std::string text;
    while (text.size() <= kBytesMax) {
        char piece[16 * 1024];
        const ssize_t count = ::read(descriptor, piece, sizeof piece);
        if (count == 0) return text;
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system_error(errno);
        text.append(piece, static_cast<std::size_t>(count));
    }
    return std::unexpected("is larger than 1 MiB");
}

Text read_file(const std::string& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return system_error(errno);
    const struct Open {  // also when memory runs out
        int descriptor;
        ~Open() { ::close(descriptor); }
    } open{descriptor};
    struct stat status{};
    if (::fstat(descriptor, &status) == 0 && !S_ISREG(status.st_mode))
        return std::unexpected("is not a file");
    return read_all(descriptor);
}

BioPtr memory(const std::string& text) {
    return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Instead of OpenSSL's own, which would ask on the terminal.
int no_passphrase(char*, int, int, void* asked) {
    *static_cast<bool*>(asked) = true;
    return -1;
}

// The end of the file is told as an error of its own.
bool at_end_of_pem() {
    const unsigned long code = ERR_peek_last_error();
    const bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end) ERR_clear_error();
    return end;
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string lower(std::string text) {
    for (char& c : text) c = lower(c);
    return text;
}

std::string text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

std::string common_name(X509& certificate) {
    X509_NAME* const subject = X509_get_subject_name(&certificate);
    const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? "" : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

}  // namespace

std::expected<std::vector<CertificatePtr>, std::string> read_certificates(const std::string& file) {
    const Text text = read_file(file);
    if (!text) return std::unexpected(text.error());
    ERR_clear_error();
    const BioPtr bio = memory(*text);
    std::vector<CertificatePtr> all;
    bool asked = false;
    while (CertificatePtr next{PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, &asked)}) {
        all.push_back(std::move(next));
        if (all.size() > kCertificatesMax) return std::unexpected("has more than 1,000 certificates");
    }
    if (!at_end_of_pem())
        return std::unexpected("has a certificate that cannot be read: " + openssl_reason());
    if (all.empty()) return std::unexpected("has no certificate in it (PEM, -----BEGIN CERTIFICATE-----)");
    return all;
}

std::expected<KeyPtr, std::string> read_key(const std::string& file) {
    const Text text = read_file(file);
    if (!text) return std::unexpected(text.error());
    ERR_clear_error();
    const BioPtr bio = memory(*text);
    bool asked = false;
    KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, &asked));
    if (key) return key;
    if (asked) return std::unexpected("is under a passphrase, which nobody could be asked for");
    if (at_end_of_pem())
        return std::unexpected("has no private key in it (PEM, -----BEGIN PRIVATE KEY-----)");
    return std::unexpected("has a key that cannot be read: " + openssl_reason());
}

std::expected<Identity, std::string> read_identity(const std::string& certificate, const std::string& key) {
    auto chain = read_certificates(certificate);
    if (!chain) return std::unexpected(certificate + " " + chain.error());
    auto secret = read_key(key);
    if (!secret) return std::unexpected(key + " " + secret.error());
    if (X509_check_private_key(chain->front().get(), secret->get()) != 1) {
        ERR_clear_error();
        return std::unexpected(key + " is not the key of the first certificate in " + certificate);
    }
    return Identity{std::move(*chain), std::move(*secret)};
}

std::vector<std::string> names_of(X509& certificate) {
    std::vector<std::string> names;
    auto* const alternatives =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
        const GENERAL_NAME* const name = sk_GENERAL_NAME_value(alternatives, i);
        if (name->type == GEN_DNS) names.push_back(lower(text_of(name->d.dNSName)));
    }
    GENERAL_NAMES_free(alternatives);
    if (names.empty()) names.push_back(lower(common_name(certificate)));
    return names;
}

bool covers(std::string_view name, std::string_view host) noexcept {
    const auto same = [](char of_name, char of_host) { return of_name == lower(of_host); };
    if (!name.starts_with("*.")) return !name.empty() && std::ranges::equal(name, host, same);
    const std::size_t dot = host.find('.');
    return dot != host.npos && dot > 0 && std::ranges::equal(name.substr(1), host.substr(dot), same);
}

std::string fingerprint(const X509& certificate) {
    std::string digest(32, '\0');
    X509_digest(&certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()), nullptr);
    return digest;
}

std::optional<std::string> wrong_chain(const std::string& certificate) {
    const auto chain = read_certificates(certificate);
    return chain ? std::nullopt : std::optional(chain.error());
}

std::optional<std::string> wrong_key(const std::string& key, const std::string& certificate) {
    if (const auto secret = read_key(key); !secret) return secret.error();
    if (!read_certificates(certificate)) return std::nullopt;  // wrong itself
    if (read_identity(certificate, key)) return std::nullopt;
    return "is not the key of the first certificate in " + certificate;
}

std::optional<std::string> wrong_authorities(const std::string& file) {
    return wrong_chain(file);
}

}  // namespace sluice::tls
