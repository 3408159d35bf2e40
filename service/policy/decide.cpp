#include "service/policy/decide.h"

namespace sluice::policy {

namespace {

using Outcome = telemetry::LimitCounters::Outcome;

/// Tells each limit that was asked what became of the request, once that is known.
void count(const Verdict& verdict) {
    for (const Applied& applied : verdict.applied()) {
        if (!applied.asked) continue;
        if (&applied == verdict.refused_by)
            applied.limit->account.counters->count(Outcome::limited);
        else if (!applied.answer.admitted)
            applied.limit->account.counters->count(Outcome::shadow_limited);
        else if (verdict.kind == Verdict::Kind::admitted)
            applied.limit->account.counters->count(Outcome::allowed);
    }
}

void shut_out(const Limit* limit, limit::Nanos until, limit::Nanos now, Verdict& verdict) {
    verdict.kind = Verdict::Kind::banned;
    verdict.banned_by = limit;
    verdict.banned_for = until - now;
}

/// Of several bans, the one that ends last.
[[gnu::noinline]] void heed_bans(const limit::Bans& bans, limit::Nanos now, Verdict& verdict) {
    for (const Applied& each : verdict.applied()) {
        if (each.limit->shadow) continue;
        const limit::Nanos until = bans.until(each.key, each.limit->account.id, now);
        if (until - now > verdict.banned_for) shut_out(each.limit, until, now, verdict);
    }
}

/// The limits that apply to a request, whoever is refused by them.
void gather(const Policy& policy, const limit::Bans& bans, const Request& request, std::size_t route,
            limit::Nanos now, Verdict& verdict, auto&& add) {
    if (policy.denied().contain(request.client)) {
        verdict.kind = Verdict::Kind::denied;
        return;
    }
    const bool any_banned = bans.any();
    if (any_banned) [[unlikely]]
        if (const limit::Nanos until = bans.until(request.client, now))
            return shut_out(nullptr, until, now, verdict);
    if (policy.allowed().contain(request.client)) return;
    for (const Limit& limit : policy.limits()) {
        if (!limit.match.matches(request)) continue;
        if (const auto key = limit.key.make(request, route))
            add(Applied{.limit = &limit,
                        .key = *key,
                        .cost = limit.cost(request.head),
                        .answer = {},
                        .slot = {},
                        .asked = false});
    }
    if (any_banned) [[unlikely]]
        heed_bans(bans, now, verdict);
}

/// A refusal by a limit that bans. Not of a client that was charged under a shared bucket: others had emptied
/// that.
[[gnu::noinline]] limit::Bans::Strike strike(limit::ClientTable& table, const Applied& refused,
                                             limit::Nanos now) {
    const limit::LimitId limit = refused.limit->account.id;
    if (!table.find(refused.key, limit)) return limit::Bans::Strike::counted;
    return table.bans().strike(refused.key, limit, *refused.limit->ban, now);
}

/// Asks all limits that apply, and spends when all that may refuse admit.
void ask(limit::ClientTable& table, std::span<Applied> applied, limit::Nanos now) {
    if (applied.empty()) return;
    if (applied.size() == 1) {  // most often, and cheaper
        Applied& only = applied.front();
        only.answer =
            table.take(only.key, only.limit->account.id, only.limit->rule, only.cost, now, &only.slot);
        only.asked = true;
        return;
    }
    limit::ShortList<limit::ClientTable::Charge, kLimitsMax> charges;
    for (const Applied& each : applied)
        charges.add({each.key, each.limit->account.id, &each.limit->rule, each.cost, !each.limit->shadow});
    table.take_all(charges, now);
    for (std::size_t i = 0; i < applied.size(); ++i) {
        applied[i].asked = charges[i].asked;
        applied[i].answer = charges[i].answer;
        applied[i].slot = charges[i].slot;
    }
}

/// What the answers come to.
void conclude(Verdict& verdict) {
    for (const Applied& applied : verdict.applied()) {
        if (!applied.asked || applied.answer.admitted) continue;
        if (applied.limit->shadow) {
            if (!verdict.shadow) verdict.shadow = applied.limit;
        } else if (!verdict.refused_by) {
            verdict.kind = Verdict::Kind::limited;
            verdict.refused_by = &applied;
        }
    }
}

}  // namespace

const Applied* Verdict::nearest() const {
    const Applied* nearest = nullptr;
    for (const Applied& each : applied()) {
        if (!each.asked || each.limit->shadow) continue;
        if (&each == refused_by) return &each;
        if (!nearest || each.answer.remaining < nearest->answer.remaining) nearest = &each;
    }
    return nearest;
}

Verdict decide(const Policy& policy, limit::ClientTable& table, const Request& request, std::size_t route,
               limit::Nanos now) {
    Verdict verdict;
    gather(policy, table.bans(), request, route, now, verdict,
           [&](const Applied& applied) { verdict.applied_.add(applied); });
    if (verdict.kind == Verdict::Kind::banned) {
        if (verdict.banned_by) verdict.banned_by->account.counters->count(Outcome::banned);
        return verdict;
    }
    ask(table, verdict.applied_, now);
    conclude(verdict);
    count(verdict);
    if (verdict.refused_by && verdict.refused_by->limit->ban)
        verdict.strike = strike(table, *verdict.refused_by, now);
    return verdict;
}

Verdict explain(const Policy& policy, const limit::ClientTable& table, const Request& request,
                std::size_t route, limit::Nanos now) {
    Verdict verdict;
    gather(policy, table.bans(), request, route, now, verdict, [&](const Applied& applied) {
        Applied& asked = verdict.applied_.add(applied);
        asked.asked = true;
        asked.answer = table.peek(asked.key, asked.limit->account.id, asked.limit->rule, asked.cost, now);
    });
    if (verdict.kind != Verdict::Kind::banned) conclude(verdict);
    return verdict;
}

}  // namespace sluice::policy
