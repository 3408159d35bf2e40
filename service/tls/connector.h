#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>

#include "service/tls/openssl.h"
#include "service/tls/stream.h"

namespace sluice::tls {

// Resumption: the last session with one server, for the next connection to go on with. One for each server;
// must outlive the connections that were made with it. Any thread.
class Resumption {
  public:
    // A reference of its own; null when there is none.
    SessionTicketPtr last() const;
    void keep(SessionTicketPtr session);

  private:
    mutable std::mutex lock_;
    SessionTicketPtr session_;  // guarded by lock_
};

// Connector: the client's side of handshakes: whom we trust. Made when a configuration is loaded; immutable,
// and shared by the servers of an upstream. Any task.
class Connector {
  public:
    struct Settings {
        bool verify = true;
        std::string ca;           // a file; empty: the system's authorities
        std::string server_name;  // empty: the host of the server's address
        bool operator==(const Settings&) const = default;
    };

    // Reads the file, or the system's (blocks on the disk).
    static std::expected<std::shared_ptr<const Connector>, std::string> make(const Settings& settings);
    Connector(const Connector&) = delete;

    // A session with the server at `host`, at the start of its handshake. The certificate must be for
    // server_name, or else for `host`, a name or an address in digits; a name is sent as SNI. The error is in
    // words. `resumption` is used until the session ends.
    std::expected<SessionPtr, std::string> begin(const std::string& host, Resumption& resumption) const;

  private:
    friend bool same(const Connector* one, const Connector* other);
    Connector(const Settings& settings, ContextPtr context, std::string authorities)
        : settings_(settings), context_(std::move(context)), authorities_(std::move(authorities)) {}
    bool name_peer(SSL* ssl, const std::string& name) const;
    static int new_session(SSL* ssl, SSL_SESSION* session);

    const Settings settings_;
    const ContextPtr context_;
    const std::string authorities_;  // what tells those of the file, or of the system, from others
};

// Whether both would trust the same servers (the file, or the system's, may have changed between them), or
// neither is there.
bool same(const Connector* one, const Connector* other);

}  // namespace sluice::tls
