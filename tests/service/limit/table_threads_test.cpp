// Threads at once: the closed form to the token, and the maximum at every moment.

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "service/limit/client_table.h"
#include "tests/service/limit/table.h"

namespace sluice::limit {
namespace {

using namespace test;

TEST(ClientTable, ThreadsAtOnceGetPreciselyTheClosedForm) {
    constexpr int kThreads = 4, kEach = 250'000, kClients = 5;
    const Rule bucket = Bucket(1, 1ms, 1000);  // time moves on: 1 ms for each 100 attempts of one thread
    ClientTable table(1000);
    std::array<std::atomic<int>, kClients> admitted{};
    std::atomic<Nanos> clock{kNow};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i) {
                const Nanos now = clock.fetch_add(2500);
                const auto n = static_cast<std::uint32_t>(i + t) % kClients;
                admitted[n] += table.take(client(n), 0, bucket, 1, now).admitted;
            }
        });
    for (auto& thread : threads) thread.join();
    // A million attempts over 2.5 s: 1000 at once and 2500 more, and who asks a hundred times a token misses
    // none.
    for (const auto& each : admitted) {
        EXPECT_LE(each, 1000 + 2500);
        EXPECT_GE(each, 1000 + 2499);
    }
}

TEST(ClientTable, MaximumHoldsAtEveryMomentWhileThreadsAddAndSweep) {
    constexpr std::uint64_t kMax = 500;
    ClientTable table(kMax);
    std::atomic<bool> stop{false};
    std::atomic<Nanos> clock{kNow};
    std::vector<std::thread> threads;
    for (std::uint32_t t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            std::mt19937_64 random(t);
            for (int i = 0; i < 200'000; ++i)
                table.take(client(static_cast<std::uint32_t>(random() % 5000)), 0, kTen, 1,
                           clock.fetch_add(kSecond / 1000));
        });
    std::thread sweeper([&] {
        while (!stop) sweep(table, 0, clock, 50);
    });
    std::thread watcher([&] {
        while (!stop) ASSERT_LE(table.stats().tracked, kMax);
    });
    for (auto& thread : threads) thread.join();
    stop = true;
    sweeper.join();
    watcher.join();
    std::uint64_t entries = 0;
    table.each([&](const ClientRecord&) { ++entries; });
    EXPECT_EQ(entries, table.stats().tracked);
    EXPECT_EQ(entries, table.clients(0));
    EXPECT_LE(entries, kMax);
}

}  // namespace
}  // namespace sluice::limit
