#pragma once

// Which server is next, by each of the four ways that a configuration can ask for. Knows no sockets and no
// clock: what is in service, and how busy it is, the caller says.
//
// Any number of threads; nothing is locked or allocated on the way of a request.

#include <atomic>
#include <cstdint>
#include <vector>

#include "config/model.h"
#include "service/upstream/server_set.h"
#include "service/upstream/turns.h"

namespace sluice::upstream {

/// Spreads the bits of a number over a number (the finaliser of SplitMix64, Steele et al.): one to one.
constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

class Balancer {
  public:
    /// `seed`: of the random choices.
    Balancer(config::Balance balance, const std::vector<config::Server>& servers, std::uint64_t seed);

    /// One of `allowed`, a part of `among`, which are the servers that share the load at present.
    /// `in_flight(i)` is how many requests server i has; `client` tells clients apart for ip_hash.
    ///
    /// - round_robin: each in turn, smoothly, as often as its weight says.
    /// - least_requests: the fewest requests for its weight; equals share evenly, as their weights say.
    /// - random_two: of two drawn at random by weight, the one with fewer requests for its weight.
    /// - ip_hash: always the same for one client, each for a share of the clients as its weight says
    ///   (weighted rendezvous hashing: Thaler and Ravishankar 1998, Schindelhauer and Schomaker 2005). When a
    ///   server goes, its clients spread over the others, and no other client moves. It depends on the
    ///   addresses of the servers alone, not on their order, so several proxies agree.
    ///
    /// REQUIRES: `allowed` is not empty.
    template <class InFlight>
    std::size_t pick(ServerSet among, ServerSet allowed, std::uint64_t client, const InFlight& in_flight) {
        switch (balance_) {
            case config::Balance::round_robin: break;
            case config::Balance::least_requests: return draw_one(least_busy(allowed, in_flight));
            case config::Balance::random_two: {
                const auto [one, other] = draw_two(allowed);
                return less_busy(other, one, in_flight) ? other : one;
            }
            case config::Balance::ip_hash: return home_of(client, allowed);
        }
        return turns_.next(among, allowed);
    }

  private:
    struct Two {
        std::size_t one;
        std::size_t other;  // the same if there is but one
    };
    Two draw_two(ServerSet allowed);
    std::size_t draw_one(ServerSet allowed);
    std::int64_t total_of(ServerSet servers) const;
    std::size_t drawn(ServerSet from, std::uint64_t at) const;
    std::size_t home_of(std::uint64_t client, ServerSet allowed) const;

    template <class InFlight>
    bool less_busy(std::size_t a, std::size_t b, const InFlight& in_flight) const {
        return in_flight(a) * weights_[b] < in_flight(b) * weights_[a];
    }
    template <class InFlight>
    ServerSet least_busy(ServerSet allowed, const InFlight& in_flight) const {
        ServerSet least = 0;
        std::int64_t count = 0;  // of one of them, which weighs `weight`
        std::int64_t weight = 1;
        each_of(allowed, [&](std::size_t server) {
            const std::int64_t requests = in_flight(server);
            const std::int64_t here = requests * weight;
            const std::int64_t there = count * weights_[server];
            if (least != 0 && here > there) return;
            if (least == 0 || here < there) {
                least = 0;
                count = requests;
                weight = weights_[server];
            }
            least |= set_of(server);
        });
        return least;
    }

    // Fixed.
    const config::Balance balance_;
    std::vector<std::int64_t> weights_;
    std::vector<std::uint64_t> names_;  // hashes of the addresses
    bool equal_ = true;                 // all weights are

    Turns turns_;
    std::atomic<std::uint64_t> draws_;  // a step of kStep for each request
};

}  // namespace sluice::upstream
