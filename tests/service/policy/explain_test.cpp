// What explain() says is what decide() does next, whatever the limits are and whatever came before; and
// saying it changes nothing.

#include <deque>
#include <random>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/policy/slots.h"
#include "service/policy/turn.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;

class Dice {
  public:
    explicit Dice(std::uint32_t seed) : source_(seed) {}
    std::uint32_t operator()(std::uint32_t sides) { return source_() % sides; }
    bool one_in(std::uint32_t n) { return (*this)(n) == 0; }

  private:
    std::mt19937 source_;
};

config::Limit random_limit(Dice& dice, unsigned number) {
    using enum config::Algorithm;
    config::Limit limit =
        limit_of("limit-" + std::to_string(number), 1 + dice(5), (1 + dice(20)) * 1s, 1 + dice(6));
    limit.algorithm = std::array{token_bucket, fixed_window, sliding_window, concurrency}[dice(4)];
    if (limit.algorithm == concurrency) limit.max = 1 + dice(3);
    if (dice.one_in(4)) limit.mode = config::Mode::shadow;
    if (dice.one_in(3)) limit.match.methods = {"POST"};
    if (dice.one_in(4)) limit.cost = {.fixed = 1, .header = "X-Cost", .max = 4};
    if (dice.one_in(4)) limit.cost.by_method = {{"POST", 3}};
    if (!limit.cost.by_method.empty()) limit.cost.header.clear();
    if (dice.one_in(3)) limit.ban = {.after = 1 + dice(4), .within = 30s, .duration = (1 + dice(30)) * 1s};
    using Kind = config::KeyKind;
    const config::KeyPart parts[] = {{Kind::ip, ""},       {Kind::global, ""}, {Kind::host, ""},
                                     {Kind::method, ""},   {Kind::path, ""},   {Kind::header, "X-Api-Key"},
                                     {Kind::query, "user"}};
    limit.key = {parts[dice(7)]};
    if (dice.one_in(3)) limit.key.push_back(parts[dice(7)]);
    if (dice.one_in(2)) limit.missing = config::Missing::skip;
    return limit;
}

std::string random_fields(Dice& dice) {
    std::string fields;
    if (dice.one_in(2)) fields += "X-Api-Key: k" + std::to_string(dice(3)) + "\r\n";
    if (dice.one_in(2)) fields += "X-Cost: " + std::to_string(dice(6)) + "\r\n";
    return fields;
}

void expect_same(const Verdict& told, const Verdict& done) {
    EXPECT_EQ(told.kind, done.kind);
    EXPECT_EQ(told.banned_by, done.banned_by);
    EXPECT_EQ(told.banned_for, done.banned_for);
    if (done.kind == Verdict::Kind::banned || done.kind == Verdict::Kind::denied) return;
    ASSERT_EQ(told.applied().size(), done.applied().size());
    EXPECT_EQ(told.refused_by ? told.refused_by->limit : nullptr,
              done.refused_by ? done.refused_by->limit : nullptr);
    for (std::size_t i = 0; i < done.applied().size(); ++i) {
        const Applied &a = told.applied()[i], &b = done.applied()[i];
        EXPECT_EQ(a.limit, b.limit);
        EXPECT_EQ(a.key, b.key);
        EXPECT_EQ(a.cost, b.cost);
        if (!b.asked) continue;
        EXPECT_EQ(a.answer.admitted, b.answer.admitted) << a.limit->settings.name;
        if (done.kind != Verdict::Kind::admitted && b.answer.admitted)
            continue;  // what is given back is not told
        EXPECT_EQ(a.answer.remaining, b.answer.remaining) << a.limit->settings.name;
        if (!b.answer.admitted) {
            EXPECT_EQ(a.answer.retry_after, b.answer.retry_after) << a.limit->settings.name;
        }
    }
}

struct Held {
    limit::ClientKey key;
    limit::LimitId limit;
    limit::Slot slot;
};

/// A few hundred requests under random limits. Returns how many of them were admitted, and how many not.
std::pair<int, int> play(std::uint32_t seed) {
    Dice dice(seed);
    config::Config config;
    for (unsigned i = 1 + dice(5); i > 0; --i) config.limits.push_back(random_limit(dice, i));
    if (dice.one_in(3)) config.deny = {{address("203.0.113.0"), 96 + 24}};
    if (dice.one_in(3)) config.allow = {{address("198.51.100.0"), 96 + 24}};
    Ledger ledger(dice.one_in(2) ? 1000 : 1 + dice(12), 1);  // half of them with a table that is full
    const Policy policy(config, ledger);

    const std::string_view clients[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "203.0.113.7",
                                        "198.51.100.7"};
    std::deque<Held> held;
    limit::Nanos now = kNow;
    int admitted = 0, refused = 0;
    for (int i = 0; i < 300; ++i) {
        now += dice.one_in(3) ? dice(3'000'000'000U) : dice(50'000'000);
        while (!held.empty() && dice.one_in(3)) {
            ledger.table.release(held.front().key, held.front().limit, held.front().slot);
            held.pop_front();
        }
        const std::string line = std::string(dice.one_in(2) ? "POST" : "GET") + " /" +
                                 std::to_string(dice(2)) +
                                 (dice.one_in(2) ? "?user=" + std::to_string(dice(2)) : "") + " HTTP/1.1";
        const Head head(line, random_fields(dice));
        const Request request{head.head, "", address(clients[dice(5)])};
        const auto before = ledger.table.stats();
        const Verdict told = explain(policy, ledger.table, request, 0, now);
        expect_same(explain(policy, ledger.table, request, 0, now), told);
        EXPECT_EQ(ledger.table.stats().tracked, before.tracked);
        const Verdict done = decide(policy, ledger.table, request, 0, now);
        expect_same(told, done);
        for (const Applied& each : done.applied())
            if (each.slot.cost > 0) held.push_back({each.key, each.limit->account.id, each.slot});
        ++(done.kind == Verdict::Kind::admitted ? admitted : refused);
        if (::testing::Test::HasFailure()) {
            ADD_FAILURE() << "seed " << seed << ", request " << i << ": " << line;
            return {admitted, refused};
        }
    }
    return {admitted, refused};
}

TEST(Explain, AgreesWithTheNextDecisionUnderRandomLimits) {
    int admitted = 0, refused = 0;
    for (std::uint32_t seed = 1; seed <= 1000 && !HasFailure(); ++seed) {
        const auto [yes, no] = play(seed);
        admitted += yes;
        refused += no;
    }
    EXPECT_GT(admitted, 50'000);
    EXPECT_GT(refused, 50'000);
}

// Where limits hold requests: who would be held is held, and who would be refused at once is, however many
// wait already.
class ExplainTest : public runtime::InVirtualTime {};

TEST_F(ExplainTest, KnowsWhoWaitsInLine) {
    int held = 0, refused = 0, admitted = 0;
    for (std::uint32_t seed = 1; seed <= 100; ++seed)
        run([&] {
            Dice dice(seed);
            config::Config config;
            for (unsigned i = 1 + dice(3); i > 0; --i) {
                config.limits.push_back(random_limit(dice, i));
                config.limits.back().ban = {};
                if (dice.one_in(3)) continue;
                config.limits.back().action = config::Action::delay;
                config.limits.back().max_delay = (1 + dice(20)) * 1s;
            }
            Ledger ledger(dice.one_in(2) ? 1000 : 1 + dice(12), 1);
            const Policy policy(config, ledger);
            limit::WaitingRoom room;
            runtime::WaitGroup all;
            bool over = false;
            for (int i = 0; i < 100; ++i) {
                const std::string client = "192.0.2." + std::to_string(dice(3));
                const std::string line = dice.one_in(2) ? "POST / HTTP/1.1" : "GET / HTTP/1.1";
                const auto fields = random_fields(dice);
                const auto flies = dice(4000) * 1ms;
                all.add();
                runtime::go([&, client, line, fields, flies] {
                    const Head head(line, fields);
                    const Request request{head.head, "", address(client)};
                    const limit::Nanos now = runtime::now().time_since_epoch().count();
                    const Verdict told = explain(policy, ledger.table, request, 0, now, &room);
                    Verdict verdict = decide(policy, ledger.table, request, 0, now, &room);
                    const Slots slots(ledger.table, room, verdict);
                    EXPECT_EQ(told.kind, verdict.kind) << seed << ' ' << i;
                    EXPECT_EQ(told.refused_by ? told.refused_by->limit : nullptr,
                              verdict.refused_by ? verdict.refused_by->limit : nullptr);
                    bool waited = false;
                    if (verdict.kind == Verdict::Kind::delayed) {
                        const bool in_time = told.refused_by->answer.retry_after <=
                                             told.refused_by->limit->settings.max_delay.count();
                        const auto ended = [&] {
                            return over ? std::optional(Turn::draining) : std::nullopt;
                        };
                        await_turn(ledger.table, room, verdict, request.client, ended, waited);
                        EXPECT_EQ(waited, in_time) << seed << ' ' << i;
                    }
                    (waited ? held : verdict.kind == Verdict::Kind::admitted ? admitted : refused) += 1;
                    if (verdict.kind == Verdict::Kind::admitted) runtime::this_task::sleep_for(flies);
                    all.done();
                });
                runtime::this_task::sleep_for(dice(1500) * 1ms);
            }
            over = true;
            all.wait();
        });
    EXPECT_GT(held, 1000);
    EXPECT_GT(refused, 1000);
    EXPECT_GT(admitted, 1000);
}

}  // namespace
}  // namespace sluice::policy
