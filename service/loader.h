#pragma once

// From a configuration to a snapshot of it that requests can be served by. What outlives a reload lives here:
// the table of clients, the counters of each limit, and the upstreams whose settings stay the same, and
// otherwise their servers that do, with their connections. One load at a time.

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "service/policy/ledger.h"
#include "service/proxy/context.h"

namespace sluice {

class Loader {
  public:
    Loader(std::uint64_t clients_max, unsigned workers, telemetry::Log& log)
        : ledger_(clients_max, workers), workers_(workers), log_(log) {}

    /// The error says what this process cannot do that the configuration asks for. The snapshot is expected
    /// to come into force, and carry_over() to be called then.
    std::expected<std::shared_ptr<const proxy::Snapshot>, std::string> load(config::Config config);

    /// Brings what clients have used under the limits of the last snapshot to its rates
    /// (ClientTable::carry_over), a shard at a time, and yields between them.
    void carry_over();

    limit::ClientTable& clients() { return ledger_.table; }

  private:
    std::expected<std::shared_ptr<upstream::Upstream>, std::string> upstream_for(
        const config::Upstream& settings) const;

    policy::Ledger ledger_;
    const unsigned workers_;
    telemetry::Log& log_;
    std::vector<std::shared_ptr<upstream::Upstream>> upstreams_;  // of the last snapshot
};

}  // namespace sluice
