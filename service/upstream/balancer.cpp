#include "service/upstream/balancer.h"

#include <cmath>

namespace sluice::upstream {

namespace {

// 2^64 divided by the golden ratio. Its multiples fall evenly into [0, 2^64): any part of that range gets its
// share of them, and soon (Weyl's sequence); mixed, they are SplitMix64's random numbers.
constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;

std::uint64_t up_to(std::uint64_t bits32, std::int64_t end) {
    return bits32 * static_cast<std::uint64_t>(end) >> 32;
}

std::uint64_t hash(std::string_view text) {
    std::uint64_t value = 0xcbf29ce484222325;  // FNV-1a, whose high bits mix() then makes good
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return mix(value);
}

std::vector<unsigned> weights_of(const std::vector<config::Server>& servers) {
    std::vector<unsigned> weights;
    for (const auto& server : servers) weights.push_back(server.weight);
    return weights;
}

}  // namespace

Balancer::Balancer(config::Balance balance, const std::vector<config::Server>& servers, std::uint64_t seed)
    : balance_(balance), turns_(weights_of(servers)), draws_(seed) {
    for (const auto& server : servers) {
        weights_.push_back(server.weight);
        names_.push_back(hash(server.address.text));
        equal_ = equal_ && server.weight == servers.front().weight;
    }
}

// The second is drawn among the others, so that two different ones are compared.
Balancer::Two Balancer::draw_two(ServerSet allowed) {
    const std::uint64_t bits = mix(draws_.fetch_add(kStep, std::memory_order_relaxed) + kStep);
    const std::int64_t total = total_of(allowed);
    const std::size_t one = drawn(allowed, up_to(bits >> 32, total));
    const ServerSet others = allowed & ~set_of(one);
    if (others == 0) return {one, one};
    return {one, drawn(others, up_to(bits & 0xffffffff, total - weights_[one]))};
}

// Turns of a fixed order would not do here: the set is another each time, and the neighbour of one that is
// busy would get its turns too.
std::size_t Balancer::draw_one(ServerSet allowed) {
    const std::uint64_t bits = draws_.fetch_add(kStep, std::memory_order_relaxed);
    return drawn(allowed, up_to(bits >> 32, total_of(allowed)));
}

std::int64_t Balancer::total_of(ServerSet servers) const {
    std::int64_t total = 0;
    each_of(servers, [&](std::size_t server) { total += weights_[server]; });
    return total;
}

// The server at a point of the line on which each takes as much room as it weighs.
std::size_t Balancer::drawn(ServerSet from, std::uint64_t at) const {
    for (;; from &= from - 1) {
        const std::size_t server = first_of(from);
        const auto weight = static_cast<std::uint64_t>(weights_[server]);
        if (at < weight) return server;
        at -= weight;
    }
}

// Each server draws from an exponential distribution of its weight's rate, by a hash of itself and the
// client; the least wins, with the probability of its share. Of equal rates the order is that of the hashes.
std::size_t Balancer::home_of(std::uint64_t client, ServerSet allowed) const {
    std::size_t home = first_of(allowed);
    double least = HUGE_VAL;
    std::uint64_t highest = 0;
    each_of(allowed, [&](std::size_t server) {
        const std::uint64_t bits = mix(names_[server] ^ client);
        if (equal_) {
            if (bits < highest) return;
            highest = bits;
        } else {
            const double uniform = (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53;
            const double draw = -std::log(uniform) / static_cast<double>(weights_[server]);
            if (draw >= least) return;
            least = draw;
        }
        home = server;
    });
    return home;
}

}  // namespace sluice::upstream
