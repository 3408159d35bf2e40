#include "service/limit/in_flight.h"

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using namespace std::chrono_literals;

const Rule kThree = InFlight(3);
const Rule kOwing = Bucket(1, 1h, 1);

/// What a request holds, as the exchange does.
struct Held {
    ClientKey key;
    Slot slot;
};

std::uint32_t in_flight(const ClientTable& table, const ClientKey& key) {
    const auto record = table.find(key, 0);
    return record ? record->state.fraction : 0;
}

TEST(InFlight, AdmitsAsManyAsThereArePlacesAndAgainWhenOneIsGivenBack) {
    ClientTable table(100);
    std::vector<Slot> held;
    for (int i = 0; i < 5; ++i) {
        Slot slot;
        const Answer answer = table.take(client(1), 0, kThree, 1, kNow, &slot);
        EXPECT_EQ(answer.admitted, i < 3);
        EXPECT_EQ(answer.remaining, i < 3 ? 2U - static_cast<unsigned>(i) : 0U);
        EXPECT_EQ(answer.next_token, 0);
        EXPECT_EQ(slot.cost, i < 3 ? 1U : 0U);
        held.push_back(slot);
    }
    table.release(client(1), 0, held[1]);
    EXPECT_TRUE(table.peek(client(1), 0, kThree, 1, kNow).admitted);
    EXPECT_FALSE(table.peek(client(1), 0, kThree, 2, kNow).admitted);
    EXPECT_TRUE(table.take(client(2), 0, kThree, 3, kNow, &held[4]).admitted);
    for (const std::size_t i : {0U, 2U, 3U}) table.release(client(1), 0, held[i]);
    table.release(client(2), 0, held[4]);
    EXPECT_EQ(in_flight(table, client(1)), 0U);
    EXPECT_EQ(in_flight(table, client(2)), 0U);
}

TEST(InFlight, WhoIsInFlightIsNeverForgotten) {
    ClientTable table(1);
    Slot slot;
    ASSERT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &slot).admitted);
    ClientTable::Swept swept;
    const Nanos later = kNow + 1'000'000 * kSecond;
    table.sweep({}, 1000, kMinute, later, swept);
    EXPECT_EQ(swept.removed, 0U);
    table.take(client(2), 1, kOwing, 1, later);  // the table is full: it finds no room
    EXPECT_EQ(in_flight(table, client(1)), 1U);
    table.release(client(1), 0, slot);
    table.sweep({}, 1000, kMinute, later, swept);
    EXPECT_EQ(swept.removed, 1U);
}

TEST(InFlight, SlotOfAForgottenClientIsNotTakenFromTheOneThatCameAfter) {
    ClientTable table(100);
    Slot before, after;
    ASSERT_TRUE(table.take(client(1), 0, kThree, 2, kNow, &before).admitted);
    ASSERT_TRUE(table.erase(client(1), 0));
    table.release(client(1), 0, before);  // nobody is there
    ASSERT_TRUE(table.take(client(1), 0, kThree, 2, kNow, &before).admitted);
    ASSERT_TRUE(table.erase(client(1), 0));
    ASSERT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &after).admitted);
    table.release(client(1), 0, before);
    EXPECT_EQ(in_flight(table, client(1)), 1U);
    table.release(client(1), 0, after);
    EXPECT_EQ(in_flight(table, client(1)), 0U);
}

TEST(InFlight, SlotsOfTheSharedBucketCountWithTheEntryThatIsMadeMeanwhile) {
    ClientTable table(1);
    table.take(client(9), 1, kOwing, 1, kNow);
    std::array<Slot, 4> held;
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &held[i]).admitted);
    ASSERT_TRUE(held[0].shared);
    table.set_max(10);
    EXPECT_EQ(table.peek(client(1), 0, kThree, 0, kNow).remaining, 1U);
    ASSERT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &held[2]).admitted);
    EXPECT_FALSE(held[2].shared);
    EXPECT_FALSE(table.take(client(1), 0, kThree, 1, kNow, &held[3]).admitted) << "four of three";
    table.release(client(1), 0, held[0]);
    EXPECT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &held[3]).admitted);
    for (const std::size_t i : {1U, 2U, 3U}) table.release(client(1), 0, held[i]);
    EXPECT_EQ(table.peek(client(1), 0, kThree, 0, kNow).remaining, 3U) << "a slot has leaked";
    EXPECT_EQ(table.peek(client(5), 0, kThree, 0, kNow).remaining, 3U);
}

TEST(InFlight, ReloadToFewerPlacesRefusesUntilEnoughHaveEnded) {
    ClientTable table(100);
    std::array<Slot, 3> held;
    for (Slot& slot : held) ASSERT_TRUE(table.take(client(1), 0, kThree, 1, kNow, &slot).admitted);
    const Rule one = InFlight(1);
    Slot slot;
    for (const Slot& each : held) {
        EXPECT_FALSE(table.take(client(1), 0, one, 1, kNow, &slot).admitted);
        table.release(client(1), 0, each);
    }
    EXPECT_TRUE(table.take(client(1), 0, one, 1, kNow, &slot).admitted);
}

// 100,000 random faults over tables that are too small: requests that begin and end in any order, clients
// forgotten while in flight, reloads, floods of keys, sweeps. A model counts along what each client holds.
TEST(InFlight, AHundredThousandFaultsLeaveNoSlotBehindAndNoneIsLentTwice) {
    constexpr int kSeeds = 20, kFaults = 5000, kClients = 12;
    int faults = 0, shared = 0, refused = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        std::mt19937_64 random(seed);
        ClientTable table(4, seed);
        std::vector<std::pair<std::uint32_t, Slot>> held;
        std::map<std::uint32_t, std::uint64_t> holds;  // what a client holds that was not forgotten
        std::uint64_t max = 3;
        for (int i = 0; i < kFaults; ++i, ++faults) {
            const Nanos now = kNow + i * kSecond;
            const auto n = static_cast<std::uint32_t>(random() % kClients);
            const auto what = random() % 100;
            if (what < 45) {
                const std::uint64_t cost = 1 + random() % 2;
                Slot slot;
                const Rule rule = InFlight(max);
                bool admitted = false;
                if (random() % 3 == 0) {  // beside another limit, which may refuse
                    std::array charges{ClientTable::Charge{client(n), 0, &rule, cost, true},
                                       ClientTable::Charge{client(n), 1, &kOwing, random() % 2, true}};
                    table.take_all(charges, now);
                    admitted = charges[1].asked && charges[1].answer.admitted;
                    slot = charges[0].slot;
                    ASSERT_EQ(slot.cost > 0, admitted);
                } else {
                    admitted = table.take(client(n), 0, rule, cost, now, &slot).admitted;
                }
                refused += !admitted;
                if (!admitted) continue;
                shared += slot.shared;
                holds[n] += cost;
                ASSERT_LE(holds[n], max) << "lent twice";
                held.emplace_back(n, slot);
            } else if (what < 90 && !held.empty()) {
                const auto at = held.begin() + static_cast<std::ptrdiff_t>(random() % held.size());
                table.release(client(at->first), 0, at->second);
                const bool known = at->second.shared || holds[at->first] >= at->second.cost;
                if (known) holds[at->first] -= std::min<std::uint64_t>(holds[at->first], at->second.cost);
                held.erase(at);
            } else if (what < 93) {
                // Forgotten: what it holds counts for nothing any more, but for what is in the shared bucket.
                if (table.erase(client(n), 0)) {
                    std::uint64_t stays = 0;
                    for (auto& [owner, slot] : held) {
                        if (owner != n) continue;
                        if (slot.shared)
                            stays += slot.cost;
                        else
                            table.release(client(n), 0, slot), slot.cost = 0;  // does nothing
                    }
                    holds[n] = stays;
                }
            } else if (what < 95) {
                max = 1 + random() % 4;
                for (const auto& each : holds) max = std::max(max, each.second);
            } else if (what < 97) {
                table.set_max(1 + random() % 8);
            } else {
                ClientTable::Swept swept;
                table.sweep({}, 1000, 0, now, swept);
            }
        }
        for (const auto& [owner, slot] : held) table.release(client(owner), 0, slot);
        table.set_max(100);
        const Rule rule = InFlight(max);
        for (std::uint32_t n = 0; n < kClients; ++n) {
            EXPECT_EQ(in_flight(table, client(n)), 0U) << "a slot is left";
            EXPECT_EQ(table.peek(client(n), 0, rule, 0, kNow).remaining, max) << "a slot is left";
        }
    }
    EXPECT_EQ(faults, 100'000);
    EXPECT_GT(shared, 1000);
    EXPECT_GT(refused, 10'000);
}

TEST(InFlight, ThreadsAtOnceNeverHoldOneMoreThanThereAre) {
    constexpr int kThreads = 4, kEach = 250'000;
    const Rule rule = InFlight(3);
    ClientTable table(2);  // too few for the clients: some are charged under the shared bucket
    constexpr std::uint32_t kClients = 4;
    std::array<std::atomic<int>, kClients> holding{};
    std::array<std::atomic<int>, kThreads> admitted{};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(static_cast<std::uint64_t>(t));
            std::vector<std::pair<std::uint32_t, Slot>> held;
            for (int i = 0; i < kEach; ++i) {
                const auto n = static_cast<std::uint32_t>(random() % kClients);
                if (held.size() == 4 || (!held.empty() && random() % 2 == 0)) {
                    const auto& [owner, slot] = held.back();
                    holding[owner].fetch_sub(1);
                    table.release(client(owner), 0, slot);
                    held.pop_back();
                    continue;
                }
                Slot slot;
                if (!table.take(client(n), 0, rule, 1, kNow, &slot).admitted) continue;
                ASSERT_LE(holding[n].fetch_add(1), 2) << "a fourth";
                ++admitted[static_cast<std::size_t>(t)];
                held.emplace_back(n, slot);
            }
            for (const auto& [owner, slot] : held) {
                holding[owner].fetch_sub(1);
                table.release(client(owner), 0, slot);
            }
        });
    for (auto& thread : threads) thread.join();
    int total = 0;
    for (const auto& each : admitted) total += each;
    EXPECT_GT(total, 100'000);
    for (std::uint32_t n = 0; n < kClients; ++n)
        EXPECT_EQ(table.peek(client(n), 0, rule, 0, kNow).remaining, 3U) << "a slot is left";
}

}  // namespace
}  // namespace sluice::limit
