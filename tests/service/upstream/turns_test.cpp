#include "service/upstream/turns.h"

#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

std::string sequence(Turns& turns, std::size_t length, ServerSet among, ServerSet allowed) {
    std::string out;
    for (std::size_t i = 0; i < length; ++i) out += static_cast<char>('a' + turns.next(among, allowed));
    return out;
}

std::string sequence(Turns& turns, std::size_t length, ServerSet among) {
    return sequence(turns, length, among, among);
}

TEST(Turns, OfEqualWeightsAreEachInTurn) {
    Turns turns({1, 1, 1});
    EXPECT_EQ(sequence(turns, 9, 0b111), "abcabcabc");
    Turns heavy({1000, 1000});
    EXPECT_EQ(sequence(heavy, 6, 0b11), "ababab");
}

// The example of nginx's commit 52327e0627f4.
TEST(Turns, OfUnequalWeightsAreTheSmoothSequenceOfNginx) {
    Turns turns({5, 1, 1});
    EXPECT_EQ(sequence(turns, 14, 0b111), "aabacaaaabacaa");
    Turns two({3, 2});
    EXPECT_EQ(sequence(two, 10, 0b11), "ababaababa");
}

TEST(Turns, AreExactOverAPeriodForAnySetOfServers) {
    const std::vector<unsigned> weights{7, 1, 4, 1000, 2, 3};
    Turns turns(weights);
    for (ServerSet among = 1; among < set_of(weights.size()); ++among) {
        std::size_t total = 0;
        each_of(among, [&](std::size_t server) { total += weights[server]; });
        std::map<std::size_t, unsigned> seen;
        for (std::size_t i = 0; i < total; ++i) ++seen[turns.next(among, among)];
        each_of(among, [&](std::size_t server) {
            EXPECT_EQ(seen[server], weights[server]) << "server " << server << " among " << among;
        });
        EXPECT_EQ(seen.size(), static_cast<std::size_t>(std::popcount(among)));
    }
}

TEST(Turns, PassOverThoseThatAreNotAllowed) {
    Turns turns({1, 1, 1});
    EXPECT_EQ(sequence(turns, 4, 0b111, 0b100), "cccc");
    EXPECT_EQ(sequence(turns, 1, 0b111, 0b011).find('c'), std::string::npos);
}

TEST(Turns, GiveNobodyTheTurnOfAServerThatIsOut) {
    Turns turns({5, 1, 1});
    EXPECT_EQ(sequence(turns, 6, 0b110), "bcbcbc") << "the rest share equally, as their weights say";
}

// Readers may find an order half written down; what they return is allowed all the same.
TEST(Turns, StayWithinTheAllowedWhileTheOrderChanges) {
    Turns turns({9, 5, 3, 1});
    std::atomic<bool> wrong{false};
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (unsigned i = 0; i < 20'000; ++i) {
                const ServerSet among = (i / 7 + t) % 15 + 1;
                if (!contains(among, turns.next(among, among))) wrong = true;
            }
        });
    }
    threads.clear();
    EXPECT_FALSE(wrong);
}

}  // namespace
}  // namespace sluice::upstream
