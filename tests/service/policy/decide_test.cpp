#include "service/policy/decide.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
using Outcome = telemetry::LimitCounters::Outcome;
using Kind = Verdict::Kind;

config::Limit shadow(config::Limit limit) {
    limit.mode = config::Mode::shadow;
    return limit;
}

TEST(Decide, AdmitsTheBurstAndNoMore) {
    House house({limit_of("per-ip", 2, 1s, 4)});
    int admitted = 0;
    for (int i = 0; i < 20; ++i) admitted += house.decide().kind == Kind::admitted;
    EXPECT_EQ(admitted, 4);
    EXPECT_EQ(house.decide("192.0.2.2").kind, Kind::admitted);
    EXPECT_EQ(house.counted(0, Outcome::allowed), 5U);
    EXPECT_EQ(house.counted(0, Outcome::limited), 16U);
}

TEST(Decide, DeniesAndAllowsNetworksBeforeAnyLimit) {
    config::Config config;
    config.allow = {{address("198.51.100.0"), 96 + 24}};
    config.deny = {{address("203.0.113.0"), 96 + 24}, {address("198.51.100.7"), 128}};
    House house({limit_of("per-ip", 1, 1h, 1)}, config);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(house.decide("198.51.100.1").kind, Kind::admitted);
        EXPECT_EQ(house.decide("203.0.113.9").kind, Kind::denied);
        EXPECT_EQ(house.decide("198.51.100.7").kind, Kind::denied) << "deny is stronger than allow";
    }
    EXPECT_EQ(house.decide("198.51.100.1").nearest(), nullptr);
    EXPECT_EQ(house.ledger.table.stats().tracked, 0U);
}

TEST(Decide, RulesForAddressesAreNotForWhoHasNone) {
    const Head head;
    for (const bool deny : {true, false}) {
        config::Config config;
        const config::Cidr everybody{address("::"), 0};
        (deny ? config.deny : config.allow).push_back(everybody);
        House house({limit_of("per-ip", 1, 1h, 1)}, config);
        const auto kind = [&] {
            return decide(house.policy, house.ledger.table, {head.head, "", kNoAddress}, 0, kNow).kind;
        };
        EXPECT_EQ(kind(), Kind::admitted);
        EXPECT_EQ(kind(), Kind::limited);
        EXPECT_EQ(house.decide("2001:db8::1").kind, deny ? Kind::denied : Kind::admitted);
        EXPECT_EQ(house.decide("2001:db8::1").kind, deny ? Kind::denied : Kind::admitted);
    }
}

TEST(Decide, LimitWhoseMatchDoesNotFitIsNotAsked) {
    config::Limit posts = limit_of("posts", 1, 1h, 1);
    posts.match.methods = {"POST"};
    House house({posts});
    const Head get, post("POST / HTTP/1.1");
    EXPECT_EQ(house.decide(post).kind, Kind::admitted);
    EXPECT_EQ(house.decide(post).kind, Kind::limited);
    EXPECT_EQ(house.decide(get).kind, Kind::admitted);
    EXPECT_TRUE(house.decide(get).applied().empty());
}

TEST(Decide, CostsAreReadFromTheRequest) {
    config::Limit limit = limit_of("x", 1, 1h, 10);
    limit.cost = {.fixed = 2, .header = "X-Cost", .max = 5};
    House house({limit});
    const auto cost = [&](const std::string& fields) {
        return house.explain(Head("GET / HTTP/1.1", fields)).applied()[0].cost;
    };
    EXPECT_EQ(cost(""), 2U);
    EXPECT_EQ(cost("X-Cost: 0\r\n"), 1U) << "free by saying so";
    EXPECT_EQ(cost("X-Cost: 00\r\n"), 1U);
    EXPECT_EQ(cost("X-Cost: 1\r\n"), 1U);
    EXPECT_EQ(cost("X-Cost: 5\r\n"), 5U);
    for (const char* hostile : {"6", "-1", "", "1.5", "0x1", "99999999999999999999", "1 1", "+1"})
        EXPECT_EQ(cost("X-Cost: " + std::string(hostile) + "\r\n"), 5U) << hostile;
}

TEST(Decide, OfSeveralCostsTheDearestCounts) {
    config::Limit limit = limit_of("x", 1, 1h, 10);
    limit.cost = {.fixed = 2, .header = "X-Cost", .max = 5};
    House house({limit});
    const auto cost = [&](const std::string& fields) {
        return house.explain(Head("GET / HTTP/1.1", fields)).applied()[0].cost;
    };
    EXPECT_EQ(cost("X-Cost: 1\r\nX-Cost: 4\r\n"), 4U);
    EXPECT_EQ(cost("X-Cost: 4\r\nx-cost: 1\r\n"), 4U);
    EXPECT_EQ(cost("X-Cost: 1\r\nX-Cost: 1\r\n"), 1U);
    EXPECT_EQ(cost("X-Cost: 1\r\nX-Cost: junk\r\n"), 5U);
}

TEST(Decide, CostsByMethod) {
    config::Limit limit = limit_of("x", 1, 1h, 10);
    limit.cost.by_method = {{"POST", 5}, {"HEAD", 0}};
    House house({limit});
    EXPECT_EQ(house.explain(Head("POST / HTTP/1.1")).applied()[0].cost, 5U);
    EXPECT_EQ(house.explain(Head("HEAD / HTTP/1.1")).applied()[0].cost, 0U);
    EXPECT_EQ(house.explain(Head("GET / HTTP/1.1")).applied()[0].cost, 1U);
}

// All or none.

TEST(Decide, InEveryOrderARefusedRequestSpendsNothing) {
    const std::vector<config::Limit> all = {limit_of("a", 1, 1h, 3), limit_of("b", 1, 1h, 5),
                                            limit_of("c", 1, 1h, 9), shadow(limit_of("d", 1, 1h, 2)),
                                            shadow(limit_of("e", 1, 1h, 7))};
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), 0);
    do {
        House house({all[order[0]], all[order[1]], all[order[2]], all[order[3]], all[order[4]]});
        for (int i = 0; i < 20; ++i) EXPECT_EQ(house.decide().kind, i < 3 ? Kind::admitted : Kind::limited);
        for (std::size_t i = 0; i < order.size(); ++i) {
            const auto& limit = all[order[i]];
            EXPECT_EQ(house.remaining(i), limit.burst - std::min<std::uint64_t>(limit.burst, 3))
                << limit.name;
        }
    } while (std::ranges::next_permutation(order).found);
}

TEST(Decide, ShadowLimitDecidesAndCountsAndNeverRefuses) {
    House house({shadow(limit_of("shadow", 1, 1h, 2)), limit_of("real", 1, 1h, 5)});
    for (int i = 0; i < 8; ++i) {
        const Verdict verdict = house.decide();
        EXPECT_EQ(verdict.kind, i < 5 ? Kind::admitted : Kind::limited);
        EXPECT_EQ(verdict.shadow, i < 2 ? nullptr : &house.policy.limits()[0]);
    }
    EXPECT_EQ(house.counted(0, Outcome::allowed), 2U);
    EXPECT_EQ(house.counted(0, Outcome::shadow_limited), 6U);
    EXPECT_EQ(house.counted(0, Outcome::limited), 0U);
    EXPECT_EQ(house.counted(1, Outcome::limited), 3U);
}

TEST(Decide, LimitsBehindTheRefusingOneAreNotAsked) {
    House house({limit_of("tight", 1, 1h, 1), limit_of("wide", 1, 1h, 10)});
    house.decide();
    const Verdict verdict = house.decide();
    ASSERT_EQ(verdict.applied().size(), 2U);
    EXPECT_EQ(verdict.refused_by, &verdict.applied()[0]);
    EXPECT_FALSE(verdict.applied()[1].asked);
}

TEST(Decide, VerdictMayBeCopied) {
    House house({limit_of("wide", 1, 1h, 10), limit_of("tight", 1, 1h, 1)});
    house.decide();
    Verdict copy;
    {
        const Verdict verdict = house.decide();
        copy = verdict;
    }
    ASSERT_EQ(copy.refused_by, &copy.applied()[1]);
    EXPECT_EQ(copy.nearest()->limit->settings.name, "tight");
    const Verdict again = std::move(copy);
    EXPECT_EQ(again.refused_by, &again.applied()[1]);
}

/// A set of limits with keys, costs and modes of all kinds.
std::vector<config::Limit> random_limits(std::mt19937_64& random) {
    std::vector<config::Limit> limits(1 + random() % 6);
    for (std::size_t i = 0; i < limits.size(); ++i) {
        const std::uint64_t burst = 1 + random() % 8;
        limits[i] = limit_of("limit-" + std::to_string(i), 1 + random() % 5,
                             config::Duration(1s) * (1 + random() % 100), burst);
        if (random() % 3 == 0) limits[i].key = {{config::KeyKind::global, ""}};
        if (random() % 4 == 0) limits[i].ipv4_prefix = 24;
        if (random() % 4 == 0) limits[i].cost.fixed = 1 + random() % burst;
        if (random() % 4 == 0) limits[i].mode = config::Mode::shadow;
    }
    return limits;
}

TEST(Decide, RefusedRequestsSpendNothingWhateverTheLimits) {
    std::mt19937_64 random(5);
    for (int set = 0; set < 300; ++set) {
        config::Config config;
        config.limits = random_limits(random);
        Ledger ledger(set % 2 ? 1000 : 6, 1);  // half of them with a table that is full
        const Policy policy(config, ledger);
        const Head head;
        limit::Nanos now = kNow;
        for (int i = 0; i < 300; ++i) {
            now += static_cast<limit::Nanos>(random() % kSecond);
            const Request request{
                head.head, "",
                address("192.0." + std::to_string(random() % 3) + "." + std::to_string(random() % 5))};
            const Verdict expected = explain(policy, ledger.table, request, 0, now);
            const Verdict verdict = decide(policy, ledger.table, request, 0, now);
            if (set % 2) {
                ASSERT_EQ(verdict.kind, expected.kind);
            }
            if (verdict.kind != Kind::limited || set % 2 == 0) continue;
            const Verdict after = explain(policy, ledger.table, request, 0, now);
            for (std::size_t l = 0; l < config.limits.size(); ++l)
                ASSERT_EQ(after.applied()[l].answer.remaining,
                          expected.applied()[l].answer.remaining +
                              (expected.applied()[l].answer.admitted ? expected.applied()[l].cost : 0) -
                              (after.applied()[l].answer.admitted ? after.applied()[l].cost : 0));
        }
    }
}

TEST(Decide, ExplainAgreesWithWhatTheNextRequestGetsAndSpendsNothing) {
    std::mt19937_64 random(6);
    for (int set = 0; set < 200; ++set) {
        config::Config config;
        config.limits = random_limits(random);
        Ledger ledger(1000, 1);
        const Policy policy(config, ledger);
        const Head head;
        limit::Nanos now = kNow;
        for (int i = 0; i < 200; ++i) {
            now += static_cast<limit::Nanos>(random() % (2 * kSecond));
            const Request request{head.head, "", address("192.0.2." + std::to_string(random() % 4))};
            for (int again = 0; again < 3; ++again) explain(policy, ledger.table, request, 0, now);
            const Verdict told = explain(policy, ledger.table, request, 0, now);
            const Verdict got = decide(policy, ledger.table, request, 0, now);
            ASSERT_EQ(told.kind, got.kind);
            ASSERT_EQ(told.shadow != nullptr,
                      got.shadow != nullptr || (told.shadow && !got.shadow && got.refused_by));
            if (got.refused_by) {
                ASSERT_EQ(told.refused_by->limit, got.refused_by->limit);
            }
            for (std::size_t l = 0; l < got.applied().size(); ++l) {
                if (!got.applied()[l].asked) continue;
                ASSERT_EQ(told.applied()[l].answer.admitted, got.applied()[l].answer.admitted);
                ASSERT_EQ(told.applied()[l].answer.remaining, got.applied()[l].answer.remaining);
            }
        }
    }
}

// Threads that decide at once under limits of which one always refuses somebody: the closed form holds for
// each, to the token, and nobody is refused for quota that another had taken for a moment.
class DecideAtOnce : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Global, DecideAtOnce, testing::Values(1000, 1200, 1300));

TEST_P(DecideAtOnce, NeverOneMoreNorOneFewerThanTheClosedForm) {
    constexpr int kThreads = 4, kEach = 30'000, kClients = 4, kPerClient = 300;
    const int global = GetParam();
    config::Limit all = limit_of("all", 1, 1h, static_cast<std::uint64_t>(global));
    all.key = {{config::KeyKind::global, ""}};
    House house({limit_of("per-ip", 1, 1h, kPerClient), all});
    std::vector<std::thread> threads;
    std::array<std::atomic<int>, kClients> admitted{};
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            const Head head;
            for (int i = 0; i < kEach; ++i) {
                const auto client = static_cast<std::size_t>(i + t) % kClients;
                const Request request{head.head, "", address("192.0.2." + std::to_string(client))};
                admitted[client] +=
                    decide(house.policy, house.ledger.table, request, 0, kNow).kind == Kind::admitted;
            }
        });
    for (auto& thread : threads) thread.join();
    int sum = 0;
    for (const auto& each : admitted) {
        EXPECT_LE(each, kPerClient);
        sum += each;
    }
    EXPECT_EQ(sum, std::min(global, kClients * kPerClient));
}

}  // namespace
}  // namespace sluice::policy
