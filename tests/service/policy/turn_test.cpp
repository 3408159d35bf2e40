#include "service/policy/turn.h"

#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/policy/rate_fields.h"
#include "service/policy/slots.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;
namespace this_task = runtime::this_task;
using runtime::now;

config::Limit delaying(config::Limit limit, config::Duration max_delay) {
    limit.action = config::Action::delay;
    limit.max_delay = max_delay;
    return limit;
}

config::Limit slots(std::uint64_t max) {
    return {.name = "slots", .algorithm = config::Algorithm::concurrency, .max = max};
}

struct Told {
    int n;
    runtime::Duration at;  // since the beginning
    bool admitted;
    bool held;
    std::uint64_t retry_after;
};

/// Requests as tasks, in virtual time.
class TurnTest : public runtime::InVirtualTime {
  protected:
    struct Crowd {
        explicit Crowd(House& at) : house(at) {}

        /// Starts a request that, once admitted, is in flight for `flies`, and leaves when told to.
        void send(int n, runtime::Duration flies = {}, const bool* leaves = nullptr) {
            all.add();
            runtime::go([=, this] {
                const Head head;
                Verdict verdict =
                    decide(house.policy, house.ledger.table, {head.head, "", address("192.0.2.1")}, 0,
                           now().time_since_epoch().count(), &room);
                const Slots slots(house.ledger.table, room, verdict);
                bool held = false;
                Turn turn = Turn::decided;
                if (verdict.kind == Verdict::Kind::delayed)
                    turn = await_turn(
                        house.ledger.table, room, verdict, address("192.0.2.1"),
                        [=]() -> std::optional<Turn> {
                            return leaves && *leaves ? std::optional(Turn::gone) : std::nullopt;
                        },
                        held);
                if (turn == Turn::decided)
                    told.push_back({n, now() - began, verdict.kind == Verdict::Kind::admitted, held,
                                    retry_after_seconds(verdict)});
                if (verdict.kind == Verdict::Kind::admitted && flies > runtime::Duration::zero())
                    this_task::sleep_for(flies);
                all.done();
            });
            this_task::yield();
        }

        House& house;
        limit::WaitingRoom room;
        runtime::WaitGroup all;
        std::vector<Told> told;
        const runtime::Time began = now();
    };
};

// Virtual time is not finer than a timer: a turn comes up to 66 µs late.
void expect_at(const Told& told, runtime::Duration at) {
    EXPECT_GE(told.at, at) << told.n;
    EXPECT_LE(told.at, at + 200us) << told.n;
}

TEST_F(TurnTest, EachHasItsTurnInOrderAndNoneIsLate) {
    run([] {
        House house({delaying(limit_of("slow", 100, 1s, 1), 60s)});
        TurnTest::Crowd crowd(house);
        for (int n = 0; n < 1000; ++n) crowd.send(n);
        crowd.all.wait();
        ASSERT_EQ(crowd.told.size(), 1000U);
        for (int n = 0; n < 1000; ++n) {
            const Told& told = crowd.told[static_cast<std::size_t>(n)];
            EXPECT_EQ(told.n, n);
            EXPECT_TRUE(told.admitted);
            EXPECT_EQ(told.held, n > 0);
            expect_at(told, n * 10ms);  // no microsecond is lost with each: a timer's delay does not add up
        }
        using Outcome = telemetry::LimitCounters::Outcome;
        EXPECT_EQ(house.counted(0, Outcome::allowed), 1000U);
        EXPECT_EQ(house.counted(0, Outcome::delayed), 999U);
        EXPECT_EQ(house.counted(0, Outcome::limited), 0U);
        const auto record = house.ledger.table.find(limit::ClientKey::of_address(address("192.0.2.1"), {}),
                                                    house.policy.limits()[0].account.id);
        ASSERT_TRUE(record);
        EXPECT_EQ(record->allowed, 1000U);
        EXPECT_EQ(record->denied, 0U) << "asking again is no refusal";
    });
}

TEST_F(TurnTest, WhoCannotHaveItsTurnInTimeIsRefusedAtOnceAndToldWhenItWould) {
    run([] {
        House house({delaying(limit_of("slow", 1, 1s, 1), 3s)});
        TurnTest::Crowd crowd(house);
        for (int n = 0; n < 6; ++n) crowd.send(n);
        ASSERT_EQ(crowd.told.size(), 3U);  // the first, and who came too late
        EXPECT_TRUE(crowd.told[0].admitted);
        for (int n = 1; n < 3; ++n) {
            EXPECT_FALSE(crowd.told[static_cast<std::size_t>(n)].admitted);
            EXPECT_FALSE(crowd.told[static_cast<std::size_t>(n)].held);
            EXPECT_EQ(crowd.told[static_cast<std::size_t>(n)].retry_after, 4U);
        }
        this_task::sleep_for(4s);  // as told
        crowd.send(6);
        crowd.all.wait();
        EXPECT_TRUE(crowd.told.back().admitted && !crowd.told.back().held);
        EXPECT_EQ(crowd.told.size(), 7U);
    });
}

TEST_F(TurnTest, WhoLeavesMakesRoomForThoseBehind) {
    run([] {
        House house({delaying(limit_of("slow", 1, 10s, 1), 100s)});
        TurnTest::Crowd crowd(house);
        bool leaves = false;
        crowd.send(0);
        crowd.send(1, {}, &leaves);
        crowd.send(2);
        this_task::sleep_for(1s);
        leaves = true;
        crowd.all.wait();
        ASSERT_EQ(crowd.told.size(), 2U);
        EXPECT_EQ(crowd.told[1].n, 2);
        expect_at(crowd.told[1], 10s);  // not 20 s
    });
}

TEST_F(TurnTest, WindowsHoldUntilTheNextOneToo) {
    for (const auto algorithm : {config::Algorithm::fixed_window, config::Algorithm::sliding_window})
        run([=] {
            House house({delaying({.name = "w", .algorithm = algorithm, .rate = {5, 1s, ""}}, 60s)});
            TurnTest::Crowd crowd(house);
            for (int n = 0; n < 50; ++n) crowd.send(n);
            crowd.all.wait();
            ASSERT_EQ(crowd.told.size(), 50U);
            for (int n = 0; n < 50; ++n) {
                EXPECT_EQ(crowd.told[static_cast<std::size_t>(n)].n, n);
                EXPECT_TRUE(crowd.told[static_cast<std::size_t>(n)].admitted);
            }
            // A sliding window that is always full admits one fewer in each: the fifth would have to wait
            // until the window before weighs nothing.
            const bool fixed = algorithm == config::Algorithm::fixed_window;
            EXPECT_GE(crowd.told.back().at, fixed ? 8s : 10s);
            EXPECT_LE(crowd.told.back().at, fixed ? 10s : 13s);
        });
}

TEST_F(TurnTest, SlotsGoToWhoWaitsLongest) {
    run([] {
        House house({delaying(slots(2), 60s)});
        TurnTest::Crowd crowd(house);
        for (int n = 0; n < 10; ++n) crowd.send(n, 1s);
        this_task::sleep_for(500ms);
        crowd.send(10, 1s);  // a newcomer passes nobody
        crowd.all.wait();
        ASSERT_EQ(crowd.told.size(), 11U);
        for (int n = 0; n < 11; ++n) {
            const Told& told = crowd.told[static_cast<std::size_t>(n)];
            EXPECT_EQ(told.n, n);
            EXPECT_TRUE(told.admitted);
            EXPECT_GE(told.at, n / 2 * 1s);
            EXPECT_LE(told.at, n / 2 * 1s + 1ms);
        }
        EXPECT_EQ(house.remaining(0), 2U) << "a slot is left";
    });
}

TEST_F(TurnTest, NobodyWaitsForASlotLongerThanMaxDelay) {
    run([] {
        House house({delaying(slots(1), 2s)});
        TurnTest::Crowd crowd(house);
        crowd.send(0, 10s);
        crowd.send(1);
        crowd.all.wait();
        ASSERT_EQ(crowd.told.size(), 2U);
        EXPECT_FALSE(crowd.told[1].admitted);
        EXPECT_TRUE(crowd.told[1].held);
        EXPECT_EQ(crowd.told[1].retry_after, 1U);
        expect_at(crowd.told[1], 2s);
    });
}

// Requests that come, leave, are let through and end at any moment, under a rate and slots that both delay
// and a limit that refuses.
TEST_F(TurnTest, WhateverHappensNoMoreIsAdmittedThanTheRulesSayAndNothingIsLeft) {
    int admitted = 0, held = 0, refused = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
        run([&] {
            House house(
                {delaying(limit_of("slow", 20, 1s, 5), 2s),
                 delaying(slots(3), 1s),
                 {.name = "fixed", .algorithm = config::Algorithm::fixed_window, .rate = {30, 2s, ""}}});
            TurnTest::Crowd crowd(house);
            std::mt19937_64 random(seed);
            std::array<bool, 500> leaves{};
            for (std::size_t n = 0; n < leaves.size(); ++n) {
                crowd.send(static_cast<int>(n), std::chrono::milliseconds(random() % 300), &leaves[n]);
                this_task::sleep_for(std::chrono::milliseconds(random() % 60));
                leaves[random() % (n + 1)] = random() % 4 == 0;
            }
            crowd.all.wait();
            runtime::Duration at{};
            int count = 0;
            for (const Told& told : crowd.told) {
                held += told.held;
                refused += !told.admitted;
                if (!told.admitted) continue;
                ++admitted, ++count;
                at = told.at;
                ASSERT_LE(count, 5 + 20 * (at / 1ms + 1) / 1000 + 1);
            }
            this_task::sleep_for(10s);
            const auto later = now().time_since_epoch().count();
            for (std::size_t l = 0; l < 3; ++l)
                EXPECT_EQ(house.remaining(l, "192.0.2.1", later), house.policy.limits()[l].rule.quota());
            EXPECT_FALSE(crowd.room.anyone(limit::ClientKey::of_address(address("192.0.2.1"), {}), 0));
        });
    EXPECT_GT(admitted, 2000);
    EXPECT_GT(held, 1000);
    EXPECT_GT(refused, 500);
}

TEST_F(TurnTest, WhoIsBannedMeanwhileHasNoTurn) {
    run([] {
        House house({delaying(limit_of("slow", 1, 10s, 1), 60s)});
        limit::WaitingRoom room;
        const Address client = address("192.0.2.1");
        for (const bool by_address : {true, false}) {
            const Head head;
            Verdict verdict;
            while (verdict.kind != Verdict::Kind::delayed)
                verdict = decide(house.policy, house.ledger.table, {head.head, "", client}, 0,
                                 now().time_since_epoch().count(), &room);
            runtime::go([&] {
                this_task::sleep_for(1s);
                const auto key = by_address ? limit::BanKey::of_block(client, 128)
                                            : limit::BanKey::under(house.policy.limits()[0].account.id,
                                                                   limit::ClientKey::of_address(client, {}));
                const limit::Nanos at = now().time_since_epoch().count();
                house.ledger.table.bans().put(key, at, at + 3600 * kSecond);
            });
            bool held = false;
            EXPECT_EQ(await_turn(
                          house.ledger.table, room, verdict, client, [] { return std::nullopt; }, held),
                      Turn::decided);
            EXPECT_EQ(verdict.kind, Verdict::Kind::banned);
            EXPECT_EQ(verdict.banned_by == nullptr, by_address);
            this_task::sleep_for(3600s);
        }
    });
}

// Who is over a limit that refuses takes no place in another's line, wherever the two stand in the file.
TEST_F(TurnTest, NobodyWaitsWhomAnotherLimitRefuses) {
    for (const bool delaying_first : {true, false})
        for (const bool others_wait : {true, false})
            run([=] {
                config::Limit all = delaying(limit_of("all", 1, 1s, 1), 60s);
                all.key = {{config::KeyKind::global, ""}};
                config::Limit own = limit_of("own", 1, 1h, 1);
                own.ban = {.after = 2, .within = 1min, .duration = 1h};
                const auto& [upper, lower] = delaying_first ? std::tie(all, own) : std::tie(own, all);
                House house({upper, lower});
                limit::WaitingRoom room;
                const Limit& own_limit = house.policy.limits()[delaying_first ? 1 : 0];
                const Limit& all_limit = house.policy.limits()[delaying_first ? 0 : 1];
                const Head head;
                const Address client = address("192.0.2.1");
                const Request request{head.head, "", client};
                const auto at = now().time_since_epoch().count();
                EXPECT_EQ(decide(house.policy, house.ledger.table, request, 0, at, &room).kind,
                          Verdict::Kind::admitted);
                std::optional<limit::WaitingRoom::Place> other;
                if (others_wait) other.emplace(room, limit::ClientKey::global(), all_limit.account.id, 1);

                for (const auto strike : {limit::Bans::Strike::counted, limit::Bans::Strike::banned}) {
                    const Verdict told = explain(house.policy, house.ledger.table, request, 0, at, &room);
                    EXPECT_EQ(told.kind, Verdict::Kind::limited);
                    EXPECT_EQ(told.refused_by->limit, &own_limit);
                    const Verdict verdict = decide(house.policy, house.ledger.table, request, 0, at, &room);
                    EXPECT_EQ(verdict.kind, Verdict::Kind::limited);
                    ASSERT_TRUE(verdict.refused_by);
                    EXPECT_EQ(verdict.refused_by->limit, &own_limit);
                    EXPECT_EQ(verdict.refused_by->answer.retry_after, 3600 * kSecond);
                    EXPECT_EQ(verdict.strike, strike);
                }
                EXPECT_EQ(own_limit.account.counters->total(telemetry::LimitCounters::Outcome::limited), 2U);
                EXPECT_EQ(
                    house.ledger.table.find(limit::ClientKey::of_address(client, {}), own_limit.account.id)
                        ->denied,
                    2U);
                const Request stranger{head.head, "", address("192.0.2.2")};
                EXPECT_EQ(decide(house.policy, house.ledger.table, stranger, 0, at, &room).kind,
                          Verdict::Kind::delayed);
            });
}

// One request, one outcome, however often it is decided about.
TEST_F(TurnTest, ALimitInShadowModeBesideItCountsOnce) {
    run([] {
        config::Limit shadow = limit_of("shadow", 1, 1s, 1);
        shadow.mode = config::Mode::shadow;
        House house({shadow, delaying(limit_of("slow", 1, 1s, 1), 60s)});
        Crowd crowd(house);
        for (int n = 0; n < 2; ++n) crowd.send(n);
        crowd.all.wait();
        const auto entry = house.ledger.table.find(limit::ClientKey::of_address(address("192.0.2.1"), {}),
                                                   house.policy.limits()[0].account.id);
        ASSERT_TRUE(entry);
        using Outcome = telemetry::LimitCounters::Outcome;
        EXPECT_EQ(entry->allowed, house.counted(0, Outcome::allowed));
        EXPECT_EQ(entry->denied, house.counted(0, Outcome::shadow_limited));
        EXPECT_EQ(entry->allowed + entry->denied, 2U);
    });
}

}  // namespace
}  // namespace sluice::policy
