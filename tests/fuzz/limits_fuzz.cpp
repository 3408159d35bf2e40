// Sets of limits and requests, four bytes each, made of the input: no refused request spends anything under
// any limit, an admitted one spends its cost under each, limits in shadow mode never refuse, and what
// explain() says is what happens, whatever the algorithms are, and also where a limit delays. Each limit is
// played along as a state of its own, unless the table is too small for all. Requests in flight end in the
// order in which they came.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "service/http/read_head.h"
#include "service/policy/decide.h"
#include "service/policy/rate_fields.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t kClients = 4;

class Bytes {
  public:
    Bytes(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    bool left(std::size_t n) const { return static_cast<std::size_t>(end_ - at_) >= n; }
    std::uint8_t next() { return *at_++; }

  private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

config::Limit limit_of(Bytes& bytes, std::size_t index) {
    config::Limit limit;
    const std::uint8_t flags = bytes.next();
    limit.name = "limit-" + std::to_string(index);
    limit.rate = {1U + bytes.next(), config::Duration(1s) * (1 + (flags >> 4)), ""};
    const std::uint8_t size = bytes.next();
    limit.algorithm = static_cast<config::Algorithm>(size >> 6);
    limit.burst = limit.max = 1U + size % 16;
    const bool windows = limit.algorithm == config::Algorithm::fixed_window ||
                         limit.algorithm == config::Algorithm::sliding_window;
    limit.cost.fixed = bytes.next() % ((windows ? limit.rate.count : limit.burst) + 1);
    if (flags & 1) limit.key = {{config::KeyKind::global, ""}};
    if (flags & 2) limit.mode = config::Mode::shadow;
    if (flags & 4) limit.match.methods = {"POST"};
    if (flags & 8) limit.action = config::Action::delay;
    return limit;
}

/// A request in flight: what it holds, of which limit, and who holds it in the states played along.
struct Held {
    limit::ClientKey key;
    limit::LimitId limit;
    limit::Slot slot;
    limit::State* state;
};

/// What each limit that applies has left, before the request.
std::vector<std::uint64_t> left(const policy::Verdict& told) {
    std::vector<std::uint64_t> left;
    for (const policy::Applied& each : told.applied())
        left.push_back(each.answer.remaining + (each.answer.admitted ? each.cost : 0));
    return left;
}

/// What was told before, and what is so now.
void check_spending(const policy::Verdict& told, const policy::Verdict& done, const policy::Verdict& after) {
    require(told.kind == done.kind);
    require((told.refused_by ? told.refused_by->limit : nullptr) ==
            (done.refused_by ? done.refused_by->limit : nullptr));
    if (done.kind == policy::Verdict::Kind::limited && done.strike != limit::Bans::Strike::banned)
        require(policy::retry_after_seconds(told) == policy::retry_after_seconds(done));
    const auto had = left(told), has = left(after);
    for (std::size_t i = 0; i < had.size(); ++i) {
        const policy::Applied& each = told.applied()[i];
        const bool spends = !done.refused_by && each.answer.admitted;
        require(has[i] == had[i] - (spends ? each.cost : 0));
    }
}

/// What one limit is to be: a state for each client, or one for all.
struct Played {
    std::array<limit::State, kClients> states{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string kText = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const http::RequestHead kHead = [] {
        http::HeadScan scan;
        http::RequestHead head;
        require(http::read_request_head(kText, scan, {}, head).has_value());
        return head;
    }();

    Bytes bytes(data, size);
    if (!bytes.left(1)) return 0;
    config::Config config;
    const std::uint8_t first = bytes.next();
    const bool small = (first & 0x80) != 0;
    for (std::size_t i = first % 8; i > 0 && bytes.left(4); --i) config.limits.push_back(limit_of(bytes, i));
    policy::Ledger ledger(small ? 1 + (first >> 3) % 8 : 1000, 1);
    const policy::Policy policy(config, ledger);
    std::vector<Played> played(config.limits.size());

    std::deque<std::vector<Held>> in_flight;
    limit::Nanos now = 1'000'000'000'000;
    while (bytes.left(4)) {
        const std::uint8_t what = bytes.next();
        const std::size_t client = what % kClients;
        if (what >= 0x80 && !in_flight.empty()) {
            for (const Held& held : in_flight.front()) {
                ledger.table.release(held.key, held.limit, held.slot);
                limit::InFlight::give_back(*held.state, held.slot.cost);
            }
            in_flight.pop_front();
        }
        now += (std::int64_t{bytes.next()} << 16 | bytes.next() << 8 | bytes.next()) * 100;
        limit::Address address{};
        address[10] = address[11] = 0xff;
        address[15] = static_cast<std::uint8_t>(client);
        const policy::Request request{kHead, "", address};
        const policy::Verdict told = policy::explain(policy, ledger.table, request, 0, now);
        const policy::Verdict verdict = policy::decide(policy, ledger.table, request, 0, now);
        check_spending(told, verdict, policy::explain(policy, ledger.table, request, 0, now));

        std::vector<limit::State*> states;
        std::vector<limit::State> after;
        const policy::Limit* refuses = nullptr;
        for (std::size_t i = 0; i < policy.limits().size(); ++i) {
            const policy::Limit& limit = policy.limits()[i];
            if (!limit.settings.match.methods.empty()) continue;
            const bool global = limit.settings.key[0].kind == config::KeyKind::global;
            limit::State* state = &played[i].states[global ? 0 : client];
            limit::State next = *state;
            const bool admits = limit.rule.take(next, limit.settings.cost.fixed, now).admitted;
            // The first of those that hold nobody, or else of all.
            const bool before = !refuses || (refuses->delays && !limit.delays);
            if (!admits && !limit.shadow && before) refuses = &limit;
            states.push_back(state);
            after.push_back(next);
        }
        require(verdict.applied().size() == states.size());
        require(small || (verdict.refused_by ? verdict.refused_by->limit : nullptr) == refuses);
        if (!refuses)
            for (std::size_t i = 0; i < states.size(); ++i) *states[i] = after[i];
        auto& holds = in_flight.emplace_back();
        for (std::size_t i = 0; i < states.size(); ++i) {
            const policy::Applied& applied = verdict.applied()[i];
            if (applied.slot.cost > 0)
                holds.push_back({applied.key, applied.limit->account.id, applied.slot, states[i]});
            if (small) continue;
            const auto found = ledger.table.find(applied.key, applied.limit->account.id);
            const limit::State state = found ? found->state : limit::State{};
            const bool counts_in_flight = applied.limit->rule.in_flight() != nullptr;
            require(counts_in_flight ? state.fraction == states[i]->fraction : state == *states[i]);
            require(applied.slot.cost == 0 || (counts_in_flight && !refuses));
        }
    }
    return 0;
}
