#pragma once

// A named set of servers: picks one for a request, lends a connection to it, and takes it back.
//
// Created when a configuration is loaded and shared by the snapshots that name it; a reload that leaves its
// settings alone keeps it, and otherwise its servers, with their connections and what is known of them. Any
// task may call any function; `acquire` parks.
//
// A server is in service unless its health checks say that it is not healthy, or it was ejected:
// `eject.after` requests in a row failed, by a connection that was not made, was cut or stood still, an
// answer that is none or came too late, or one of 502, 503, 504 (a gateway's own failures; any other status
// is an answer like any other). It comes back after `eject.for`; its next failure takes it out again at once,
// the next success forgets them all. The last server in service is never ejected, and when no other is
// healthy, those that were ejected are asked all the same.

#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/model.h"
#include "service/telemetry/log.h"
#include "service/tls/stream.h"
#include "service/upstream/balancer.h"
#include "service/upstream/error.h"
#include "service/upstream/line.h"
#include "service/upstream/pool.h"
#include "service/upstream/server.h"
#include "service/upstream/server_set.h"

namespace sluice::upstream {

class Upstream;

/// A connection lent for one exchange. Unless `keep` is called it is closed when the lease ends.
class Lease {
  public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease();

    explicit operator bool() const { return connection_ != nullptr; }
    tls::Stream& stream() { return connection_->stream; }
    Server& server() { return connection_->server; }
    bool reused() const { return connection_->reused; }

    /// The exchange ended cleanly and both sides are at the start of a message: the connection may serve
    /// another.
    void keep(runtime::Time now);

    /// The server answered with this status, and its whole answer came.
    void answered(int status) {
        if (status < 502 || status > 504) [[likely]]
            server().standing.succeeded();
        else
            refused_by_gateway();
    }
    /// The exchange failed by the server's doing.
    void failed();

  private:
    friend class Upstream;
    Lease(Upstream& upstream, std::unique_ptr<Connection> connection);
    void refused_by_gateway();
    void close();

    Upstream* upstream_ = nullptr;
    std::unique_ptr<Connection> connection_;
};

/// The servers that a request has been to already.
using Tried = ServerSet;

/// On whose behalf a connection is asked for.
struct Asking {
    std::uint64_t client = 0;       // tells clients apart; needed if spreads_by_client()
    Pointless gone{};               // whether it has left
    const Server* stale = nullptr;  // whose idle connection failed: it is asked again, on a fresh one
};

class Upstream {
  public:
    /// Takes over the servers of `former`, which may be null, whose settings stay. `connector`: null where
    /// they are spoken to in the clear.
    Upstream(std::string name, const config::Upstream& settings, unsigned workers, telemetry::Log& log,
             const Upstream* former = nullptr, std::shared_ptr<const tls::Connector> connector = nullptr);

    /// From now on its max_connections holds, also for connections that were lent by the former.
    void come_into_force();

    const std::string& name() const { return name_; }
    const config::Upstream& settings() const { return settings_; }
    const tls::Connector* connector() const { return connector_.get(); }
    bool spreads_by_client() const { return settings_.balance == config::Balance::ip_hash; }

    /// A connection to the next server, by the configured balance, that is in service and not in `tried`,
    /// which it is added to; a backup only if no other is left. The one that `asking` says was stale comes
    /// first, whether tried or not, while it is in service. Waits in line when max_connections are in
    /// use. All of it within connect_timeout: exhausted, when the wait left too little of it to connect.
    /// `now` is read again where it parked before it succeeded, and only there.
    std::expected<Lease, Error> acquire(runtime::Time& now, Tried& tried, const Asking& asking);

    /// Whether there are servers in service that this request has not been to.
    bool another(runtime::Time now, Tried tried) const { return (available(now) & ~tried) != 0; }
    /// Whether a request would find a server.
    bool in_service(runtime::Time now) const { return available(now) != 0; }
    /// Of one of its servers: whether it is, and until when it is ejected, which may be over.
    bool in_service(const Server& server, runtime::Time now) const {
        return server.standing.healthy() && !server.standing.ejected(now, ejected_for_);
    }
    runtime::Time ejected_until(const Server& server) const {
        return server.standing.ejected_until(ejected_for_);
    }

    /// Closes connections that idled too long. Called now and then by a task of the app.
    void sweep(runtime::Time now);

    const std::vector<std::shared_ptr<Server>>& servers() const { return servers_; }
    const Line& line() const { return *line_; }

  private:
    friend class Lease;
    ServerSet available(runtime::Time now) const;
    Server* pick(runtime::Time now, Tried& tried, const Asking& asking);
    void make_room();
    void failed(Server& server);
    void strike(Server& server);

    // Fixed.
    const std::string name_;
    const config::Upstream settings_;
    const runtime::Duration ejected_for_;  // 0: nobody is
    telemetry::Log& log_;
    const std::shared_ptr<const tls::Connector> connector_;
    std::vector<std::shared_ptr<Server>> servers_;
    ServerSet primary_ = 0;
    ServerSet backup_ = 0;

    // Any thread.
    Balancer balancer_;
    const std::shared_ptr<Line> line_;  // one place for each lease, also of the former upstream
    std::mutex ejecting_;
};

}  // namespace sluice::upstream
