#pragma once

// One server of an upstream: where it is, what is known of it, and how to connect to it.
//
// A Server lives as long as the Upstream that owns it. Every member function may be called by any task on
// any worker; only `connect` parks.

#include <atomic>
#include <cstdint>
#include <expected>
#include <mutex>
#include <string>
#include <vector>

#include "config/model.h"
#include "service/tls/stream.h"
#include "service/upstream/error.h"
#include "service/upstream/pool.h"

namespace sluice::upstream {

class Server {
  public:
    Server(const config::Server& settings, const config::Upstream& upstream, unsigned workers);

    const std::string& address() const { return text_; }         // as the configuration says it
    const std::string& authority() const { return authority_; }  // for a Host field: HOST:PORT

    /// Connects by `deadline` (parks). A host name is looked up off the workers, and again when the answer
    /// is older than half a minute or none of its addresses took the connection.
    std::expected<tls::Stream, Error> connect(runtime::Time now, runtime::Time deadline);

    /// For /stats. Written by whoever holds a connection, read by anyone.
    struct Figures {
        std::atomic<std::uint64_t> requests{0};
        std::atomic<std::uint64_t> failures{0};
        std::atomic<std::int64_t> in_flight{0};
        std::atomic<std::int64_t> open{0};
    };
    Figures figures;

    Pool pool;

  private:
    std::expected<std::vector<runtime::Endpoint>, Error> look_up(runtime::Time now, runtime::Time deadline);
    void forget_lookup();

    // Fixed.
    const std::string text_;
    const std::string authority_;
    const std::string host_;  // empty for a Unix socket
    const std::uint16_t port_;
    bool fixed_ = false;  // an address in digits, or a path: nothing to look up, and known_ never changes

    // Guarded by lock_, which is never held across a park.
    std::mutex lock_;
    std::vector<runtime::Endpoint> known_;
    runtime::Time looked_up_{};
};

}  // namespace sluice::upstream
