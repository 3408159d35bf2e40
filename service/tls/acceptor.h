#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "service/tls/openssl.h"
#include "service/tls/stream.h"
#include "service/tls/ticket_keys.h"

namespace sluice::tls {

// Acceptor: the server's side of handshakes at one address: its certificates, which of them a client gets,
// and whom it lets in. Made when a configuration is loaded; immutable, and shared by the handshakes under
// way. Any task.
//
// TLS 1.2 and 1.3; ECDHE with AES-GCM or ChaCha20; no renegotiation, no compression, no early data; ALPN
// http/1.1 (who offers only others is told so); sessions resumed by tickets.
class Acceptor {
  public:
    // The files of one certificate. client_ca not empty: a client must show a certificate that these have
    // signed.
    struct Files {
        std::string certificate;
        std::string key;
        std::string client_ca;
    };

    // Reads the files (blocks on the disk). The error says which, and what is wrong with it.
    static std::expected<std::shared_ptr<const Acceptor>, std::string> make(std::span<const Files> entries,
                                                                            std::shared_ptr<TicketKeys> keys);
    ~Acceptor();
    Acceptor(const Acceptor&) = delete;

    struct Accepted {
        SessionPtr session;
        std::size_t entry;  // whose certificate it was
    };
    struct Refused {
        std::string reason;
        bool plain_http;  // the client spoke HTTP without TLS: it can be told so, in the clear
    };
    // A client's handshake; parks, by the socket's read deadline. The entry is the first whose certificate is
    // for the name that the client asks for (SNI); without such a name, or such an entry, the first of all. A
    // session is resumed only by way of the entry that it was made by.
    std::expected<Accepted, Refused> accept(runtime::TcpStream& tcp, std::span<const char> early) const;

    // The entry of a client that asks for this name, in any case. Allocates nothing.
    std::size_t entry_of(std::string_view host) const;

  private:
    struct Entry {
        ContextPtr context;
        std::vector<std::string> names;
    };

    explicit Acceptor(std::shared_ptr<TicketKeys> keys) : keys_(std::move(keys)) {}
    std::expected<Entry, std::string> open(const Files& files);
    const Entry& entry_for(std::string_view host) const noexcept;

    // OpenSSL's, through which no exception may go: they allocate nothing.
    static int choose_entry(SSL* ssl, int* alert, void* self) noexcept;
    static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* size,
                               const unsigned char* offered, unsigned offered_size, void* self) noexcept;
    static int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int making) noexcept;

    const std::shared_ptr<TicketKeys> keys_;
    std::vector<Entry> entries_;  // not empty
};

}  // namespace sluice::tls
