#pragma once

// A named set of servers: picks one for a request, lends a connection to it, and takes it back.
//
// Created when a configuration is loaded and shared by the snapshots that name it; a reload that leaves its
// settings alone keeps it, with its connections. Any task may call any function; `acquire` parks.

#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "runtime/semaphore.h"
#include "service/upstream/error.h"
#include "service/upstream/pool.h"
#include "service/upstream/server.h"

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
    /// The exchange failed by the server's doing.
    void failed();

  private:
    friend class Upstream;
    Lease(Upstream& upstream, std::unique_ptr<Connection> connection);
    void close();

    Upstream* upstream_ = nullptr;
    std::unique_ptr<Connection> connection_;
};

inline constexpr std::size_t kMaxServers = 64;

/// The servers that a request has been to already: bit i is server i.
using Tried = std::uint64_t;

class Upstream {
  public:
    Upstream(std::string name, const config::Upstream& settings, unsigned workers);

    const std::string& name() const { return name_; }
    const config::Upstream& settings() const { return settings_; }

    /// A connection to the next server in turn that is not in `tried`, which it is added to. `fresh` asks for
    /// a new connection, after a pooled one has proved stale. Waits in line when max_connections are in use,
    /// for connect_timeout at most.
    std::expected<Lease, Error> acquire(runtime::Time now, Tried& tried, bool fresh);

    /// Servers that this request has not been to.
    bool another(Tried tried) const;

    /// A reload: no connection of it is kept from now on. What still uses it goes on.
    void retire();

    /// Closes connections that idled too long. Called now and then by a task of the app.
    void sweep(runtime::Time now);

    const std::vector<std::unique_ptr<Server>>& servers() const { return servers_; }

  private:
    friend class Lease;
    std::size_t pick(Tried tried);
    void make_room();

    // Fixed.
    const std::string name_;
    const config::Upstream settings_;
    std::vector<std::unique_ptr<Server>> servers_;

    // Any thread.
    runtime::Semaphore slots_;  // one for each lease
    std::atomic<std::uint64_t> turn_{0};
    std::atomic<bool> retired_{false};
};

}  // namespace sluice::upstream
