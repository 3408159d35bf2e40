#pragma once

// The idle connections of one server, kept for the next request.
//
// Connections are kept in a stack per worker: the last used is the warmest, and its descriptor is registered
// with the poller of the worker that will use it again. A worker whose stack is empty takes from another's.
// A lock guards each stack; nothing parks while holding one.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "service/tls/stream.h"

namespace sluice::upstream {

class Server;

/// A connection to a server. Owned by the Lease that uses it, or by the Pool while idle.
struct Connection {
    Connection(tls::Stream stream, Server& server, const runtime::Endpoint& peer, std::uint32_t version);
    ~Connection();

    tls::Stream stream;
    Server& server;
    const runtime::Endpoint peer;  // of a server known by name: which of its addresses
    std::uint32_t version;         // of those addresses, when peer was last known to be one of them
    runtime::Time idle_since{};
    bool reused = false;  // has carried a request before: a failure now may be a stale connection's
};

class Pool {
  public:
    Pool(unsigned workers, std::size_t max_idle, runtime::Duration idle_timeout);
    ~Pool();

    /// The warmest idle connection that the server has not closed meanwhile, or nullptr. Costs no system
    /// call: the netpoller has already heard of a close.
    std::unique_ptr<Connection> take();

    /// Keeps a connection whose exchange ended cleanly. Closes the coldest when max_idle are kept already.
    void put(std::unique_ptr<Connection> connection, runtime::Time now);

    /// Closes what has been idle too long, or has been closed by the server.
    void sweep(runtime::Time now);

    std::size_t size() const { return size_.load(std::memory_order_relaxed); }

  private:
    struct alignas(64) Shard {
        std::mutex lock;
        std::vector<std::unique_ptr<Connection>> idle;  // the warmest last; never beyond its first capacity
    };
    Shard& own_shard();
    std::unique_ptr<Connection> pop(Shard& shard);

    // Fixed.
    const std::size_t max_idle_;
    const runtime::Duration idle_timeout_;
    std::vector<Shard> shards_;

    std::atomic<std::size_t> size_{0};  // over all shards
};

}  // namespace sluice::upstream
