// Keys that are made to collide cost no more than others, for the hash is keyed by what only this process
// knows. A table whose secret is known shows what they cost otherwise.

#include <algorithm>
#include <ctime>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "service/limit/siphash.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;

constexpr std::uint64_t kKnownSeed = 7;
constexpr std::size_t kKeys = 400;
constexpr std::uint64_t kMax = 2000;
const Rule kWide = Bucket(1'000'000, std::chrono::seconds(1), 1'000'000);

/// Keys that belong to the same few places of one shard, under the same tag, where the secret is the known
/// one.
std::vector<ClientKey> colliding_keys() {
    // Of a hash: place, tag, shard.
    constexpr std::uint64_t kSame = 0xf0000000 | std::uint64_t{0x7f} << 32 | std::uint64_t{0x1f} << 59;
    std::vector<ClientKey> keys;
    for (std::uint64_t n = 0; keys.size() < kKeys; ++n) {
        const ClientKey key = ClientKey::of_digest(1 << 8, n);
        const std::uint64_t hash = siphash_1_3({kKnownSeed, ~kKnownSeed}, key.high(), key.low(), 0);
        if ((hash & kSame) == 0) keys.push_back(key);
    }
    return keys;
}

std::vector<ClientKey> random_keys() {
    std::mt19937_64 random(1);
    std::vector<ClientKey> keys(kKeys);
    for (ClientKey& key : keys) key = ClientKey::of_digest(random(), random());
    return keys;
}

Nanos cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
}

/// Processor time of so many decisions, the best of some rounds.
Nanos cost(const std::vector<ClientKey>& keys, std::uint64_t seed) {
    ClientTable table(kMax, seed);
    Nanos best = std::numeric_limits<Nanos>::max();
    for (int round = 0; round < 15; ++round) {
        const Nanos before = cpu_time();
        for (int again = 0; again < 10; ++again)
            for (const ClientKey& key : keys) table.take(key, 0, kWide, 1, kNow);
        best = std::min(best, cpu_time() - before);
    }
    EXPECT_EQ(table.stats().tracked, kKeys);
    return best;
}

TEST(Collisions, KeysMadeToCollideCostNoMoreThanOthers) {
    constexpr std::uint64_t kRandom = 0;
    const Nanos others = cost(random_keys(), kRandom);
    const Nanos colliding = cost(colliding_keys(), kRandom);
    EXPECT_LE(colliding, others * 3 / 2);
    EXPECT_GE(cost(colliding_keys(), kKnownSeed), others * 3) << "these keys do not collide";
}

}  // namespace
}  // namespace sluice::limit
