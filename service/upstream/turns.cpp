#include "service/upstream/turns.h"

#include <array>
#include <numeric>
#include <utility>

namespace sluice::upstream {

Turns::Turns(std::vector<unsigned> weights)
    : weights_(std::move(weights)),
      order_(std::accumulate(weights_.begin(), weights_.end(), std::size_t{0})) {}

std::size_t Turns::next(ServerSet among, ServerSet allowed) {
    if (among_.load(std::memory_order_acquire) != among) [[unlikely]]
        write_down(among);
    const std::uint32_t period = period_.load(std::memory_order_relaxed);
    std::uint64_t at = turn_.fetch_add(1, std::memory_order_relaxed) % period;
    for (std::uint32_t step = 0; step < period; ++step) {
        const std::size_t server = order_[at].load(std::memory_order_relaxed);
        if (contains(allowed, server)) return server;
        if (++at == period) at = 0;
    }
    return first_of(allowed);  // another thread is writing the order down
}

// At most 64,000 entries of 64 servers, some milliseconds, once for each change of the set; of weights that
// people write, a few.
[[gnu::noinline]] void Turns::write_down(ServerSet among) {
    const std::unique_lock hold(writing_, std::try_to_lock);
    if (!hold || among_.load(std::memory_order_relaxed) == among) return;
    std::uint64_t total = 0;
    std::uint64_t common = 0;
    each_of(among, [&](std::size_t server) {
        total += weights_[server];
        common = std::gcd(common, std::uint64_t{weights_[server]});
    });
    std::array<std::int64_t, kMaxServers> owed{};
    const auto period = static_cast<std::uint32_t>(total / common);
    for (std::uint32_t at = 0; at < period; ++at) {
        std::size_t best = first_of(among);
        each_of(among, [&](std::size_t server) {
            owed[server] += weights_[server];
            if (owed[server] > owed[best]) best = server;
        });
        owed[best] -= static_cast<std::int64_t>(total);
        order_[at].store(static_cast<std::uint8_t>(best), std::memory_order_relaxed);
    }
    period_.store(period, std::memory_order_relaxed);
    turn_.store(0, std::memory_order_relaxed);
    among_.store(among, std::memory_order_release);
}

}  // namespace sluice::upstream
