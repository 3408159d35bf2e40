// What the table promises, under each of the four algorithms.

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <vector>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/limit/client_table.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using namespace std::chrono_literals;

const std::array<Rule, 4> kRules{Bucket(5, 10s, 10), FixedWindow(10, 10s), SlidingWindow(10, 10s),
                                 InFlight(3)};

/// What each client has had, kept for ever: what the table admits, this must, too.
class Remembered {
  public:
    explicit Remembered(const Rule& rule) : rule_(rule) {}

    bool admits(std::uint32_t n, std::uint64_t cost, Nanos now) const {
        const auto known = states_.find(n);
        return rule_.peek(known == states_.end() ? State{} : known->second, cost, now).admitted;
    }
    void take(std::uint32_t n, std::uint64_t cost, Nanos now) { rule_.take(states_[n], cost, now); }
    void give_back(std::uint32_t n, std::uint64_t cost) {
        InFlight::give_back(states_[n], static_cast<std::uint32_t>(cost));
    }

  private:
    const Rule& rule_;
    std::map<std::uint32_t, State> states_;
};

struct Lent {
    std::uint32_t n;
    Slot slot;
};

/// Gives back one of what is lent, or all.
void give_back(ClientTable& table, Remembered& remembered, std::vector<Lent>& lent, std::size_t at) {
    table.release(client(lent[at].n), 0, lent[at].slot);
    remembered.give_back(lent[at].n, lent[at].slot.cost);
    lent[at] = lent.back();
    lent.pop_back();
}

TEST(EveryAlgorithm, ForgetsWithoutGivingQuotaBackOrTakingAny) {
    int decided = 0, forgotten = 0;
    for (const Rule& rule : kRules)
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            std::mt19937_64 random(seed);
            ClientTable table(10'000, seed);
            Remembered remembered(rule);
            std::vector<Lent> lent;
            Nanos now = kNow;
            for (int i = 0; i < 20'000; ++i, ++decided) {
                now += static_cast<Nanos>(random() % (kSecond / 2));
                const auto n = static_cast<std::uint32_t>(random() % 50);
                const std::uint64_t cost = 1 + random() % 2;
                Slot slot;
                const bool owed = remembered.admits(n, cost, now);
                ASSERT_EQ(table.take(client(n), 0, rule, cost, now, &slot).admitted, owed);
                if (owed) remembered.take(n, cost, now);
                if (slot.cost > 0) lent.push_back({n, slot});
                if (!lent.empty() && random() % 2 == 0)
                    give_back(table, remembered, lent, random() % lent.size());
                ClientTable::Swept swept;
                if (i % 100 == 0) table.sweep({}, 100'000, 0, now, swept);
                forgotten += static_cast<int>(swept.removed);
            }
        }
    EXPECT_EQ(decided, 800'000);
    EXPECT_GT(forgotten, 10'000);
}

TEST(EveryAlgorithm, NeverGivesQuotaBackToAFloodOfKeys) {
    std::uint64_t shared = 0, evicted = 0;
    for (const Rule& rule : kRules)
        for (std::uint64_t seed = 1; seed <= 30; ++seed) {
            std::mt19937_64 random(seed);
            ClientTable table(20, seed);
            Remembered remembered(rule);
            std::vector<Lent> lent;
            Nanos now = kNow;
            for (int i = 0; i < 20'000; ++i) {
                now += static_cast<Nanos>(random() % (kSecond / 4));
                const auto n = static_cast<std::uint32_t>(random() % 2 ? random() % 5 : random() % 500);
                const std::uint64_t cost = 1 + random() % 2;
                Slot slot;
                const bool owed = remembered.admits(n, cost, now);
                if (table.take(client(n), 0, rule, cost, now, &slot).admitted) {
                    ASSERT_TRUE(owed) << "quota given back to client " << n;
                    remembered.take(n, cost, now);
                    if (slot.cost > 0) lent.push_back({n, slot});
                }
                while (lent.size() > 30 || (!lent.empty() && random() % 2 == 0))
                    give_back(table, remembered, lent, random() % lent.size());
                ASSERT_LE(table.stats().tracked, 20U);
            }
            while (!lent.empty()) give_back(table, remembered, lent, 0);
            shared += table.stats().shared;
            evicted += table.stats().evicted_full;
        }
    EXPECT_GT(shared, 100'000U);
    EXPECT_GT(evicted, 100'000U);
}

TEST(EveryAlgorithm, PeekTellsWhatTakeWould) {
    for (const Rule& rule : kRules) {
        std::mt19937_64 random(1);
        ClientTable table(15);
        std::vector<Lent> lent;
        for (int i = 0; i < 10'000; ++i) {
            const auto n = static_cast<std::uint32_t>(random() % 30);
            const Nanos now = kNow + i * kSecond / 20;
            const std::uint64_t cost = random() % 3;
            const Answer told = table.peek(client(n), 0, rule, cost, now);
            Slot slot;
            const Answer got = table.take(client(n), 0, rule, cost, now, &slot);
            ASSERT_EQ(told.admitted, got.admitted);
            ASSERT_EQ(told.remaining, got.remaining);
            ASSERT_EQ(told.retry_after, got.retry_after);
            ASSERT_EQ(told.next_token, got.next_token);
            if (slot.cost > 0) lent.push_back({n, slot});
            if (lent.size() > 20 || (!lent.empty() && random() % 2)) {
                table.release(client(lent.back().n), 0, lent.back().slot);
                lent.pop_back();
            }
        }
    }
}

// 64 tasks on two workers, a million attempts within 2.5 s of a clock that they move on themselves: five
// clients that ask far more often than they may.
class Contention : public testing::Test {
  protected:
    static constexpr int kTasks = 64, kEach = 15'625;
    static constexpr std::uint32_t kClients = 5;

    /// What each client was admitted.
    std::array<int, kClients> ask(const Rule& rule) {
        ClientTable table(1000);
        std::array<std::atomic<int>, kClients> admitted{};
        std::atomic<Nanos> clock{kNow};
        runtime::TimedScheduler scheduler({.workers = 2});
        scheduler.run([&] {
            runtime::WaitGroup all;
            for (int t = 0; t < kTasks; ++t) {
                all.add();
                runtime::go([&, t] {
                    for (int i = 0; i < kEach; ++i) {
                        const Nanos now = clock.fetch_add(2500);
                        const auto n = static_cast<std::uint32_t>(i + t) % kClients;
                        admitted[n] += table.take(client(n), 0, rule, 1, now).admitted;
                        if (i % 64 == 0) runtime::this_task::yield();
                    }
                    all.done();
                });
            }
            all.wait();
        });
        std::array<int, kClients> result{};
        for (std::size_t n = 0; n < kClients; ++n) result[n] = admitted[n];
        return result;
    }
};

TEST_F(Contention, ABucketGivesItsBurstAndWhatFlowsIn) {
    for (const int admitted : ask(Bucket(1, 1ms, 1000))) {
        EXPECT_LE(admitted, 1000 + 2500);
        EXPECT_GE(admitted, 1000 + 2499);  // the last of them a moment after the last attempt
    }
}

TEST_F(Contention, AFixedWindowGivesItsCountInEachWindow) {
    for (const int admitted : ask(FixedWindow(1000, 100ms))) EXPECT_EQ(admitted, 25 * 1000);
}

TEST_F(Contention, ASlidingWindowGivesItsCountInEachWindowAndSpreadsIt) {
    // Full from the beginning, each window is full at its end, to the last one that a nanosecond less would
    // have refused.
    for (const int admitted : ask(SlidingWindow(1000, 100ms))) {
        EXPECT_LE(admitted, 25 * 1000);
        EXPECT_GE(admitted, 25 * 1000 - 25);
    }
}

TEST_F(Contention, SlotsAreLentToAsManyAsThereAreAndToNoneMore) {
    const Rule rule = InFlight(3);
    ClientTable table(1000);
    std::array<std::atomic<int>, kClients> holding{};
    std::atomic<int> admitted{0}, attempts{0}, most{0};
    runtime::TimedScheduler scheduler({.workers = 2});
    scheduler.run([&] {
        runtime::WaitGroup all;
        for (int t = 0; t < kTasks; ++t) {
            all.add();
            runtime::go([&, t] {
                for (int i = 0; i < kEach; ++i, ++attempts) {
                    const auto n = static_cast<std::uint32_t>(i + t) % kClients;
                    Slot slot;
                    if (!table.take(client(n), 0, rule, 1, kNow, &slot).admitted) continue;
                    const int now = ++holding[n];
                    ASSERT_LE(now, 3);
                    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) continue;
                    ++admitted;
                    if (i % 4 == 0) runtime::this_task::yield();
                    --holding[n];
                    table.release(client(n), 0, slot);
                }
                all.done();
            });
        }
        all.wait();
    });
    EXPECT_EQ(attempts, 1'000'000);
    EXPECT_EQ(most, 3) << "one fewer than there are";
    EXPECT_GT(admitted, 10'000);
    for (std::uint32_t n = 0; n < kClients; ++n)
        EXPECT_EQ(table.peek(client(n), 0, rule, 0, kNow).remaining, 3U) << "a slot is left";
}

}  // namespace
}  // namespace sluice::limit
