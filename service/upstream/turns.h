#pragma once

// Whose turn it is: the smooth weighted round robin of nginx. Of weights 5, 1, 1 the order is a a b a c a a:
// each server as often as its weight says, and spread out.
//
// nginx works the order out as it goes, under a lock. Here it is written down once for the set of servers
// that are in service, and a turn is one increment. When the set changes, whoever notices first writes it
// down anew, in place. Who reads meanwhile finds a mixture of both orders, which is an order too: every entry
// is a server, and those that are not allowed are passed over.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "service/upstream/server_set.h"

namespace sluice::upstream {

class Turns {
  public:
    /// One weight for each server, all above 0.
    explicit Turns(std::vector<unsigned> weights);

    /// The server whose turn it is in the order of `among`, or the next behind it that is in `allowed`. Any
    /// thread; no lock unless `among` is another than before. REQUIRES: `allowed` is not empty.
    std::size_t next(ServerSet among, ServerSet allowed);

  private:
    void write_down(ServerSet among);

    const std::vector<unsigned> weights_;

    std::mutex writing_;
    std::vector<std::atomic<std::uint8_t>> order_;  // the first period_ count; as long as any order may be
    std::atomic<std::uint32_t> period_{1};
    std::atomic<ServerSet> among_{0};
    std::atomic<std::uint64_t> turn_{0};
};

}  // namespace sluice::upstream
