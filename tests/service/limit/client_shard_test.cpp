#include "service/limit/client_shard.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;

// Few places and much coming and going: runs that wrap around the end, tags that meet, gaps that close.
TEST(ClientShard, AgreesWithASetWhateverComesAndGoes) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const HashSecret secret{seed, ~seed};
        std::mt19937_64 random(seed);
        ClientShard shard;
        std::set<std::uint32_t> model;
        const std::uint32_t most = 80 + static_cast<std::uint32_t>(random() % 400);
        const auto hash = [&](std::uint32_t n) {
            return siphash_1_3(secret, client(n).high(), client(n).low(), 7);
        };
        const auto find = [&](std::uint32_t n) { return shard.find(hash(n), client(n), 7); };
        for (int i = 0; i < 20'000; ++i) {
            const auto n = static_cast<std::uint32_t>(random() % (2 * most));
            ASSERT_EQ(find(n) != nullptr, model.contains(n)) << "seed " << seed << ", step " << i;
            if (model.contains(n) && random() % 2 == 0) {
                shard.remove(find(n), secret);
                model.erase(n);
            } else if (!model.contains(n) && model.size() < most) {
                ClientEntry entry{.key = client(n), .tat = n};
                entry.limit_and_one = 8;
                ASSERT_EQ(shard.insert(hash(n), entry, secret, most)->tat, n);
                model.insert(n);
            }
            if (i % 3000 == 0 && shard.sparse()) shard.shrink(secret);
            if (i % 700 == 0) shard.give_back(1);
            if (i % 500 != 0) continue;
            ASSERT_EQ(shard.size(), model.size());
            for (const std::uint32_t each : model) ASSERT_EQ(find(each)->tat, each);
            EXPECT_LE(shard.size(), shard.places() * 9 / 10);
        }
    }
}

// Up to its share, some beyond it, and far beyond: where it is, where it is, and elsewhere.
TEST(ClientShard, GrowsWithoutLosingAnybody) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const HashSecret secret{seed, ~seed};
        ClientShard shard;
        constexpr std::uint32_t kExpected = 2000, kAll = 3 * kExpected;
        const auto hash = [&](std::uint32_t n) {
            return siphash_1_3(secret, client(n).high(), client(n).low(), 7);
        };
        const ClientEntry* at = nullptr;
        for (std::uint32_t n = 0; n < kAll; ++n) {
            ClientEntry entry{.key = client(n), .tat = n};
            entry.limit_and_one = 8;
            const std::size_t places = shard.places();
            ASSERT_EQ(shard.insert(hash(n), entry, secret, kExpected)->tat, n);
            if (n == 0) at = &shard[0];
            if (n <= kExpected) {
                ASSERT_EQ(&shard[0], at);
            }
            if (shard.places() == places) continue;
            std::size_t used = 0;
            for (std::size_t place = 0; place < shard.places(); ++place) used += shard[place].used();
            ASSERT_EQ(used, n + 1);
            for (std::uint32_t each = 0; each <= n; ++each) {
                const ClientEntry* found = shard.find(hash(each), client(each), 7);
                ASSERT_TRUE(found) << "seed " << seed << ", " << each << " of " << n;
                ASSERT_EQ(found->tat, each);
            }
        }
        EXPECT_NE(&shard[0], at);
    }
}

// Any share of a shard leaves; it shrinks, gives its pages back, some of them or all, and grows again on what
// it has.
TEST(ClientShard, ShrinksWhereItIsWithoutLosingAnybody) {
    constexpr std::uint32_t kExpected = 2000;
    for (std::uint32_t seed = 1; seed <= 100; ++seed) {
        const HashSecret secret{seed, ~std::uint64_t{seed}};
        std::mt19937_64 random(seed);
        ClientShard shard;
        const auto hash = [&](std::uint32_t n) {
            return siphash_1_3(secret, client(n).high(), client(n).low(), 7);
        };
        const auto fill = [&](std::uint32_t from) {
            for (std::uint32_t n = from; n < kExpected; ++n) {
                ClientEntry entry{.key = client(n), .tat = n};
                entry.limit_and_one = 8;
                ASSERT_TRUE(shard.insert(hash(n), entry, secret, kExpected));
            }
        };
        const auto holds_all_up_to = [&](std::uint32_t last) {
            ASSERT_EQ(shard.size(), last);
            for (std::uint32_t n = 0; n < kExpected; ++n) {
                const ClientEntry* found = shard.find(hash(n), client(n), 7);
                ASSERT_EQ(found != nullptr, n < last) << "seed " << seed << ", " << n;
                if (found) {
                    ASSERT_EQ(found->tat, n);
                }
            }
        };
        fill(0);
        const std::size_t full = shard.bytes();
        const auto stay = seed == 1 ? 0 : static_cast<std::uint32_t>(random() % (kExpected / 2));
        for (std::uint32_t n = stay; n < kExpected; ++n)
            shard.remove(shard.find(hash(n), client(n), 7), secret);
        if (shard.sparse()) shard.shrink(secret);
        EXPECT_FALSE(shard.sparse());
        EXPECT_EQ(shard.bytes(), full);
        holds_all_up_to(stay);
        shard.give_back(random() % 30);
        holds_all_up_to(stay);
        fill(stay);
        holds_all_up_to(kExpected);
    }
}

}  // namespace
}  // namespace sluice::limit
