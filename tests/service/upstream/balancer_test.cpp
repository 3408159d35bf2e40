#include "service/upstream/balancer.h"

#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::upstream {
namespace {

using config::Balance;

std::vector<config::Server> servers(std::initializer_list<unsigned> weights) {
    std::vector<config::Server> out;
    for (const unsigned weight : weights) {
        const std::string address = "10.0.0." + std::to_string(out.size() + 1) + ":3000";
        out.push_back(
            {.address = {.text = address, .host = "", .port = 0, .unix_path = ""}, .weight = weight});
    }
    return out;
}

struct House {
    House(Balance balance, std::initializer_list<unsigned> weights, std::uint64_t seed = 42)
        : weight(weights), all(set_of(weights.size()) - 1), balancer(balance, servers(weights), seed) {}

    std::size_t pick(ServerSet allowed, std::uint64_t client = 0) {
        return balancer.pick(allowed, allowed, client, [this](std::size_t i) { return busy[i]; });
    }
    std::size_t pick() { return pick(all); }

    // Pearson's statistic of so many picks against the weights of `among`.
    template <class Pick>
    double chi_square(unsigned picks, ServerSet among, Pick one) {
        std::array<double, kMaxServers> seen{};
        for (unsigned i = 0; i < picks; ++i) ++seen[one(i)];
        double total = 0;
        each_of(among, [&](std::size_t s) { total += weight[s]; });
        double sum = 0;
        each_of(among, [&](std::size_t s) {
            const double expected = picks * weight[s] / total;
            sum += (seen[s] - expected) * (seen[s] - expected) / expected;
        });
        return sum;
    }

    std::vector<unsigned> weight;
    ServerSet all;
    Balancer balancer;
    std::array<std::int64_t, kMaxServers> busy{};
};

// Of chi-square with 3 degrees of freedom: exceeded once in 10,000 runs; the seeds are fixed.
constexpr double kBound3 = 21.1;

TEST(Balance, RoundRobinIsTheSmoothSequence) {
    House house(Balance::round_robin, {5, 1, 1});
    std::string seen;
    for (int i = 0; i < 7; ++i) seen += static_cast<char>('a' + house.pick());
    EXPECT_EQ(seen, "aabacaa");
}

TEST(Balance, LeastRequestsIsTheLeastBusyForItsWeight) {
    House house(Balance::least_requests, {1, 2, 1});
    house.busy = {3, 5, 4};
    EXPECT_EQ(house.pick(), 1U) << "2.5 for its weight against 3 and 4";
    house.busy = {2, 5, 4};
    EXPECT_EQ(house.pick(), 0U);
    EXPECT_EQ(house.pick(0b110), 1U) << "the least busy of those allowed";
}

// No window of requests is off by more than a few, as draws of a die would be.
TEST(Balance, LeastRequestsOfEqualsIsEvenByWeight) {
    House house(Balance::least_requests, {1, 1, 2});
    std::array<int, 3> seen{};
    for (int i = 1; i <= 4000; ++i) {
        ++seen[house.pick()];
        ASSERT_NEAR(seen[0], i / 4.0, 3);
        ASSERT_NEAR(seen[1], i / 4.0, 3);
        ASSERT_NEAR(seen[2], i / 2.0, 3);
    }
    house.busy = {1, 0, 0};
    seen = {};
    for (int i = 0; i < 300; ++i) ++seen[house.pick()];
    EXPECT_EQ(seen[0], 0);
    EXPECT_NEAR(seen[1], 100, 3) << "the neighbour of a busy one does not get its share on top";
}

// Requests that never end: what is in flight follows the weights to within one.
TEST(Balance, LeastRequestsFillsByWeight) {
    House house(Balance::least_requests, {1, 2, 5});
    for (int i = 0; i < 800; ++i) ++house.busy[house.pick()];
    EXPECT_EQ(house.busy[0], 100);
    EXPECT_EQ(house.busy[1], 200);
    EXPECT_EQ(house.busy[2], 500);
}

TEST(Balance, RandomTwoFollowsTheWeightsOfIdleServers) {
    for (const std::uint64_t seed : {1, 2, 3}) {
        House house(Balance::random_two, {1, 2, 3, 10}, seed);
        EXPECT_LT(house.chi_square(20'000, house.all, [&](unsigned) { return house.pick(); }), kBound3);
    }
}

TEST(Balance, RandomTwoNeverTakesTheBusiest) {
    House house(Balance::random_two, {1, 1, 1, 1});
    house.busy = {1, 0, 2, 3};
    std::array<int, 4> seen{};
    for (int i = 0; i < 12'000; ++i) ++seen[house.pick()];
    EXPECT_EQ(seen[3], 0) << "whatever it is compared with is less busy";
    // Of the six pairs, three have the least busy in them, two have the next, one the third.
    EXPECT_NEAR(seen[1], 6000, 300);
    EXPECT_NEAR(seen[0], 4000, 300);
    EXPECT_NEAR(seen[2], 2000, 300);
}

TEST(Balance, RandomTwoIsTheSameForTheSameSeed) {
    House one(Balance::random_two, {1, 2, 3}, 7);
    House same(Balance::random_two, {1, 2, 3}, 7);
    House other(Balance::random_two, {1, 2, 3}, 8);
    std::string a, b, c;
    for (int i = 0; i < 100; ++i) {
        a += static_cast<char>('a' + one.pick());
        b += static_cast<char>('a' + same.pick());
        c += static_cast<char>('a' + other.pick());
    }
    EXPECT_EQ(a, b);
    EXPECT_NE(a, c);
}

// The power of two choices: without departures, n requests on n servers are at most some ln ln n above the
// mean; one choice alone would be off by far more.
TEST(Balance, RandomTwoKeepsTheLoadEven) {
    House house(Balance::random_two, {1, 1, 1, 1, 1, 1, 1, 1});
    for (int i = 0; i < 8000; ++i) ++house.busy[house.pick()];
    for (int i = 0; i < 8; ++i) EXPECT_NEAR(house.busy[i], 1000, 5) << i;
}

TEST(Balance, IpHashIsAlwaysTheSameForOneClient) {
    House house(Balance::ip_hash, {1, 2, 3, 10});
    House again(Balance::ip_hash, {1, 2, 3, 10}, 99);
    for (std::uint64_t client = 0; client < 1000; ++client) {
        const std::size_t home = house.pick(house.all, client);
        EXPECT_EQ(house.pick(house.all, client), home);
        EXPECT_EQ(again.pick(house.all, client), home) << "in every process";
    }
}

TEST(Balance, IpHashFollowsTheWeights) {
    for (const auto& weights : {std::initializer_list<unsigned>{1, 1, 1, 1}, {1, 2, 3, 10}}) {
        House house(Balance::ip_hash, weights);
        // Clients as they come: addresses in a row.
        const auto home = [&](unsigned client) { return house.pick(house.all, client); };
        EXPECT_LT(house.chi_square(20'000, house.all, home), kBound3);
    }
}

TEST(Balance, IpHashMovesTheClientsOfALostServerAndNobodyElse) {
    for (const auto& weights : {std::initializer_list<unsigned>{1, 1, 1, 1, 1}, {4, 2, 3, 10, 1}}) {
        House house(Balance::ip_hash, weights);
        for (std::size_t lost = 0; lost < 5; ++lost) {
            const ServerSet rest = house.all & ~set_of(lost);
            std::vector<unsigned> moved;
            for (unsigned client = 0; client < 20'000; ++client) {
                const std::size_t home = house.pick(house.all, client);
                if (home == lost)
                    moved.push_back(client);
                else
                    ASSERT_EQ(house.pick(rest, client), home);
            }
            const auto new_home = [&](unsigned i) { return house.pick(rest, moved[i]); };
            EXPECT_LT(house.chi_square(static_cast<unsigned>(moved.size()), rest, new_home), kBound3)
                << "and they spread over the others by weight";
        }
    }
}

TEST(Balance, IpHashDoesNotDependOnTheOrderOfTheServers) {
    const auto in_order = servers({1, 2, 3});
    const std::vector<config::Server> reversed(in_order.rbegin(), in_order.rend());
    Balancer one(Balance::ip_hash, in_order, 1);
    Balancer other(Balance::ip_hash, reversed, 1);
    const auto idle = [](std::size_t) { return std::int64_t{0}; };
    for (std::uint64_t client = 0; client < 1000; ++client)
        EXPECT_EQ(one.pick(0b111, 0b111, client, idle), 2 - other.pick(0b111, 0b111, client, idle));
}

TEST(Balance, PicksOnlyWhatIsAllowed) {
    for (const Balance balance :
         {Balance::round_robin, Balance::least_requests, Balance::random_two, Balance::ip_hash}) {
        House house(balance, {1, 2, 3, 4, 5, 6});
        for (ServerSet allowed = 1; allowed <= house.all; ++allowed)
            for (int i = 0; i < 20; ++i)
                ASSERT_TRUE(contains(allowed, house.balancer.pick(house.all, allowed, i, [](std::size_t at) {
                    return static_cast<std::int64_t>(at);
                })));
    }
}

}  // namespace
}  // namespace sluice::upstream
