// Limits of all four algorithms on one request, and what is told about them.

#include <algorithm>
#include <array>
#include <new>
#include <random>
#include <vector>

#include "runtime/sanitizer.h"
#include "service/policy/rate_fields.h"
#include "service/policy/refusal_body.h"
#include "service/policy/slots.h"
#include "tests/allocations_left.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;

config::Limit windows(std::string name, config::Algorithm algorithm, std::uint64_t count,
                      config::Duration per) {
    return {.name = std::move(name), .algorithm = algorithm, .rate = {count, per, ""}};
}

config::Limit slots(std::string name, std::uint64_t max) {
    return {.name = std::move(name), .algorithm = config::Algorithm::concurrency, .max = max};
}

std::vector<config::Limit> one_of_each() {
    return {limit_of("bucket", 2, 1s, 3), windows("fixed", config::Algorithm::fixed_window, 7, 4s),
            windows("sliding", config::Algorithm::sliding_window, 5, 2s), slots("slots", 3)};
}

std::string fields(const Verdict& verdict) {
    std::string room(kRateFieldsRoom, '\0');
    return std::string(write_rate_fields(verdict, config::RateHeaders::both, room));
}

/// Requests in flight, each with what it holds.
struct Flights {
    explicit Flights(House& at) : house(at) {}
    void begin(const Verdict& verdict) { all.push_back(std::make_unique<Flight>(house, room, verdict)); }

    struct Flight {
        Flight(House& at, limit::WaitingRoom& line, const Verdict& v)
            : verdict(v), slots(at.ledger.table, line, verdict) {}
        Verdict verdict;
        Slots slots;
    };
    House& house;
    limit::WaitingRoom room;
    std::vector<std::unique_ptr<Flight>> all;
};

TEST(Algorithms, InEveryOrderARefusedRequestSpendsNothing) {
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    int orders = 0, refused = 0, admitted = 0;
    std::array<int, 4> refused_by{};
    do {
        ++orders;
        const auto limits = one_of_each();
        House house({limits[order[0]], limits[order[1]], limits[order[2]], limits[order[3]]});
        Flights flights(house);
        std::mt19937_64 random(static_cast<std::uint64_t>(orders));
        limit::Nanos now = kNow;
        for (int i = 0; i < 1000; ++i) {
            if (i % 10 == 0) now += static_cast<limit::Nanos>(random() % 3) * kSecond;
            now += static_cast<limit::Nanos>(random() % (kSecond / 2));
            while (!flights.all.empty() && random() % 3 > 0) flights.all.erase(flights.all.begin());
            std::array<std::uint64_t, 4> before{};
            for (std::size_t l = 0; l < 4; ++l) before[l] = house.remaining(l, "192.0.2.1", now);
            const Verdict verdict = house.decide("192.0.2.1", now);
            const bool spent = verdict.kind == Verdict::Kind::admitted;
            (spent ? admitted : refused) += 1;
            if (spent) flights.begin(verdict);
            for (std::size_t l = 0; l < 4; ++l)
                ASSERT_EQ(house.remaining(l, "192.0.2.1", now), before[l] - spent) << l;
            if (verdict.refused_by) {
                const auto by = static_cast<std::size_t>(verdict.refused_by - verdict.applied().data());
                ++refused_by[order[by]];
                EXPECT_EQ(before[by], 0U);
            } else {
                for (const std::uint64_t left : before) EXPECT_GT(left, 0U);
            }
        }
        flights.all.clear();
        EXPECT_EQ(house.remaining(static_cast<std::size_t>(std::ranges::find(order, 3U) - order.begin()),
                                  "192.0.2.1", now),
                  3U)
            << "a slot is left";
    } while (std::ranges::next_permutation(order).found);
    EXPECT_EQ(orders, 24);
    EXPECT_GT(refused, 5000);
    EXPECT_GT(admitted, 5000);
    for (std::size_t l = 0; l < 4; ++l) EXPECT_GT(refused_by[l], 50) << l;
}

TEST(Algorithms, WhoWaitsRetryAfterIsAdmitted) {
    int waited = 0;
    for (const config::Limit& limit : one_of_each()) {
        if (limit.algorithm == config::Algorithm::concurrency) continue;  // nobody knows, and 1 is told
        House house({limit});
        std::mt19937_64 random(1);
        limit::Nanos now = kNow;
        for (int i = 0; i < 20'000; ++i) {
            now += static_cast<limit::Nanos>(random() % (kSecond / 4));
            const Verdict verdict = house.decide("192.0.2.1", now);
            if (!verdict.refused_by) continue;
            ++waited;
            const auto seconds = static_cast<limit::Nanos>(retry_after_seconds(verdict));
            ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + seconds * kSecond).kind,
                      Verdict::Kind::admitted);
            const limit::Nanos exact = verdict.refused_by->answer.retry_after;
            ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + exact).kind, Verdict::Kind::admitted);
            ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + exact - 1).kind, Verdict::Kind::limited);
        }
    }
    EXPECT_GT(waited, 10'000);
}

// Of several limits that refuse, the one that lasts longest tells.
TEST(Algorithms, WhoWaitsRetryAfterIsAdmittedByAllLimitsTogether) {
    House house({one_of_each()[0], one_of_each()[1], one_of_each()[2]});  // of slots nobody knows
    std::mt19937_64 random(1);
    std::array<int, 3> refused_by{};
    limit::Nanos now = kNow;
    for (int i = 0; i < 60'000; ++i) {
        now += static_cast<limit::Nanos>(random() % (random() % 10 == 0 ? 2 * kSecond : kSecond / 4));
        const Verdict verdict = house.decide("192.0.2.1", now);
        if (!verdict.refused_by) continue;
        ++refused_by[static_cast<std::size_t>(verdict.refused_by - verdict.applied().data())];
        const auto seconds = static_cast<limit::Nanos>(retry_after_seconds(verdict));
        ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + seconds * kSecond).kind, Verdict::Kind::admitted);
        limit::Nanos exact = 0;
        for (const Applied& each : verdict.applied())
            if (!each.answer.admitted) exact = std::max(exact, each.answer.retry_after);
        ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + exact).kind, Verdict::Kind::admitted);
        ASSERT_EQ(house.explain(Head(), "192.0.2.1", now + exact - 1).kind, Verdict::Kind::limited);
    }
    for (const int each : refused_by) EXPECT_GT(each, 500);
}

TEST(Algorithms, TIsWhenMoreIsThereThanNow) {
    int told = 0;
    for (const config::Limit& limit : one_of_each()) {
        if (limit.algorithm == config::Algorithm::concurrency) continue;  // has no `t`
        House house({limit});
        std::mt19937_64 random(1);
        limit::Nanos now = kNow;
        for (int i = 0; i < 20'000; ++i) {
            now += static_cast<limit::Nanos>(random() % (kSecond / 2));
            const Verdict verdict = house.decide("192.0.2.1", now);
            const limit::Answer& answer = verdict.nearest()->answer;
            ASSERT_EQ(house.remaining(0, "192.0.2.1", now), answer.remaining);
            ASSERT_EQ(answer.next_token == 0, answer.remaining == house.policy.limits()[0].rule.quota());
            if (answer.next_token == 0) continue;
            ++told;
            const auto seconds = static_cast<limit::Nanos>(whole_seconds(answer.next_token));
            ASSERT_EQ(house.remaining(0, "192.0.2.1", now + answer.next_token - 1), answer.remaining);
            ASSERT_GT(house.remaining(0, "192.0.2.1", now + answer.next_token), answer.remaining);
            ASSERT_GT(house.remaining(0, "192.0.2.1", now + seconds * kSecond), answer.remaining);
            ASSERT_LT((seconds - 1) * kSecond, answer.next_token);
        }
    }
    EXPECT_GT(told, 50'000);
}

TEST(Algorithms, ExplainAgreesWithWhatTheNextRequestGetsAndSpendsNothing) {
    House house({one_of_each()[0], one_of_each()[1], one_of_each()[2], one_of_each()[3]});
    Flights flights(house);
    std::mt19937_64 random(1);
    limit::Nanos now = kNow;
    for (int i = 0; i < 5000; ++i) {
        now += static_cast<limit::Nanos>(random() % kSecond);
        if (!flights.all.empty() && random() % 2 == 0) flights.all.pop_back();
        const Verdict told = house.explain(Head(), "192.0.2.1", now);
        ASSERT_EQ(told.applied().size(), 4U);
        const Verdict got = house.decide("192.0.2.1", now);
        ASSERT_EQ(told.kind, got.kind);
        for (std::size_t l = 0; l < 4; ++l) {
            if (!got.applied()[l].asked) continue;
            ASSERT_EQ(told.applied()[l].answer.remaining, got.applied()[l].answer.remaining);
        }
        if (got.kind == Verdict::Kind::admitted) flights.begin(got);
    }
}

TEST(Algorithms, ConcurrencyTellsTheUnitOfItsQuotaAndNoTime) {
    House house({slots("slots", 2)});
    Flights flights(house);
    for (const char* left : {"1", "0"}) {
        flights.begin(house.decide());
        EXPECT_EQ(fields(flights.all.back()->verdict),
                  "RateLimit-Policy: \"slots\";q=2;qu=\"concurrent-requests\"\r\nRateLimit: \"slots\";r=" +
                      std::string(left) + "\r\nX-RateLimit-Limit: 2\r\nX-RateLimit-Remaining: " + left +
                      "\r\nX-RateLimit-Reset: 0\r\n");
    }
    const Verdict refused = house.decide();
    EXPECT_EQ(refused.kind, Verdict::Kind::limited);
    EXPECT_TRUE(
        fields(refused).ends_with("RateLimit: \"slots\";r=0\r\nX-RateLimit-Limit: 2\r\n"
                                  "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 0\r\n"
                                  "Retry-After: 1\r\n"))
        << fields(refused);
    std::string room(1000, '\0');
    EXPECT_TRUE(write_refusal_body(refused, house.policy.response(), room)
                    .body.contains(R"(has as many requests in flight as it admits; try again in 1 second)"));
    flights.all.clear();
    EXPECT_EQ(house.decide().kind, Verdict::Kind::admitted);
}

TEST(Algorithms, CostBeyondAllThereIsIsToldToComeBackInASecondWhereNobodyKnows) {
    config::Limit limit = slots("slots", 2);
    limit.cost = {.fixed = 1, .header = "X-Cost", .max = 100};
    House house({limit});
    const Verdict refused = house.decide(Head("GET / HTTP/1.1", "X-Cost: 50\r\n"));
    EXPECT_EQ(refused.kind, Verdict::Kind::limited);
    EXPECT_EQ(retry_after_seconds(refused), 1U);
}

TEST(Algorithms, WindowsTellTheirLength) {
    House house({windows("fixed", config::Algorithm::fixed_window, 5, 1500ms)});
    EXPECT_TRUE(fields(house.decide()).starts_with("RateLimit-Policy: \"fixed\";q=5;w=2\r\nRateLimit: "))
        << fields(house.decide());
}

TEST(Algorithms, SlotsThatCannotBeHandedOnAreGivenBack) {
    if (runtime::kTsan) GTEST_SKIP() << "memory does not run out here";
    House house({slots("slots", 3)});
    limit::WaitingRoom room;
    {
        const Verdict verdict = house.decide();
        Slots held(house.ledger.table, room, verdict);
        sluice::test::allocations_left = 1;
        EXPECT_THROW(held.keep(), std::bad_alloc);
        sluice::test::allocations_left = 0;
        EXPECT_EQ(house.remaining(0), 2U);
    }
    EXPECT_EQ(house.remaining(0), 3U);
}

TEST(Algorithms, AReloadThatRemovesALimitLeavesItsSlotsToBeGivenBack) {
    House house({slots("slots", 1)});
    {
        Flights flights(house);
        flights.begin(house.decide());
        config::Config without;
        const Policy next(without, house.ledger);
        EXPECT_EQ(house.decide().kind, Verdict::Kind::limited);
    }
    config::Config again;
    again.limits = {slots("slots", 1)};
    const Policy policy(again, house.ledger);
    const Head head;
    EXPECT_EQ(decide(policy, house.ledger.table, {head.head, "", address("192.0.2.1")}, 0, kNow).kind,
              Verdict::Kind::admitted);
}

}  // namespace
}  // namespace sluice::policy
