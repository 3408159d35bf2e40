#pragma once

// One server of an upstream: where it is, what is known of it, and how to connect to it.
//
// Shared by the upstreams that name it, of this configuration and of those before that are still in use: a
// reload that leaves a server's settings alone keeps its connections, its figures and its standing. Every
// member function may be called by any task on any worker; only `dial` and `connect` park.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "config/model.h"
#include "service/telemetry/log.h"
#include "service/tls/connector.h"
#include "service/tls/stream.h"
#include "service/upstream/addresses.h"
#include "service/upstream/error.h"
#include "service/upstream/patience.h"
#include "service/upstream/pool.h"
#include "service/upstream/standing.h"

namespace sluice::upstream {

class Server {
  public:
    using Stream = tls::Stream;
    static constexpr runtime::Duration kShareMin =
        std::chrono::milliseconds(250);  // of one address, see dial()

    /// `connector`: null where the server is spoken to in the clear.
    Server(const config::Server& settings, const config::Upstream& upstream, unsigned workers,
           telemetry::Log& log, std::shared_ptr<const tls::Connector> connector);

    /// Whether what is known of it holds for these settings: the same place, checked in the same way.
    bool known_as(const config::Server& settings, const config::Upstream& upstream,
                  const tls::Connector* connector) const;
    /// Whether it could be taken over for them: also all that concerns connections. Weight and backup are the
    /// upstream's.
    bool same_as(const config::Server& settings, const config::Upstream& upstream,
                 const tls::Connector* connector) const;

    const std::string& address() const { return text_; }         // as the configuration says it
    const std::string& authority() const { return authority_; }  // for a Host field: HOST:PORT
    const std::string& upstream() const { return upstream_.name; }
    const std::optional<config::Health>& health() const { return upstream_.health; }

    /// A new connection, by `deadline`. Several addresses are tried, beginning with another each time: each
    /// has half of the time that is left, kShareMin if that is more, the last one all of it. `peer`: where to
    /// say which one it is. Under TLS the handshake is part of it, and has all the time that is left.
    /// client_gone: it had become `pointless` when one of its steps had taken half a second, or one more.
    std::expected<Stream, Error> dial(runtime::Time deadline, runtime::Endpoint* peer = nullptr,
                                      Pointless pointless = {});
    /// The same, for requests.
    std::expected<std::unique_ptr<Connection>, Error> connect(runtime::Time deadline, Pointless pointless);
    /// An idle connection to where the server is now, or nullptr.
    std::unique_ptr<Connection> take_idle();
    /// Takes a connection back.
    void keep(std::unique_ptr<Connection> connection, runtime::Time now);

    /// No configuration names it any more: none of its connections is kept from now on.
    void retire();

    /// For /stats. Written by whoever holds a connection, read by anyone.
    struct Figures {
        std::atomic<std::uint64_t> requests{0};
        std::atomic<std::uint64_t> failures{0};
        std::atomic<std::int64_t> in_flight{0};
        std::atomic<std::int64_t> open{0};
        std::atomic<std::uint64_t> checks{0};
        std::atomic<std::uint64_t> checks_failed{0};
    };
    Figures figures;

    Standing standing;
    Addresses addresses;

  private:
    tls::Resumption resumption_;  // before the connections that refer to it

  public:
    Pool pool;

  private:
    // `share`: until when TCP has to be connected.
    std::expected<Stream, Error> dial_one(const runtime::Endpoint& peer, runtime::Time share,
                                          runtime::Time deadline, Pointless pointless);
    std::expected<Stream, Error> secure(runtime::TcpStream tcp, runtime::Time deadline, Pointless pointless);
    void tell_handshake_failed(const std::string& reason);

    // Fixed.
    const std::string text_;
    const std::string authority_;
    const std::string host_;           // empty for a Unix socket
    const config::Upstream upstream_;  // as it was when this server was first named
    telemetry::Log& log_;
    const std::shared_ptr<const tls::Connector> connector_;  // null: in the clear

    telemetry::Throttle handshake_failed_{};

    std::atomic<bool> retired_{false};
};

}  // namespace sluice::upstream
