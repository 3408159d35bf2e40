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

/// The walk over the limits that both decide() and explain() make; `ask` answers for one of them.
template <class Add, class Ask>
void walk(const Policy& policy, const Request& request, std::size_t route, Verdict& verdict, Add&& add,
          Ask&& ask) {
    if (policy.denied().contain(request.client)) {
        verdict.kind = Verdict::Kind::denied;
        return;
    }
    if (policy.allowed().contain(request.client)) return;
    for (const Limit& limit : policy.limits()) {
        if (!limit.match.matches(request)) continue;
        const auto key = limit.key.make(request, route);
        if (!key) continue;
        Applied& applied = add(Applied{&limit, *key, limit.cost(request.head), {}, !verdict.refused_by});
        if (!applied.asked) continue;
        applied.answer = ask(applied);
        if (applied.answer.admitted) continue;
        if (!limit.shadow) {
            verdict.kind = Verdict::Kind::limited;
            verdict.refused_by = &applied;
        } else if (!verdict.shadow) {
            verdict.shadow = &limit;
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
    walk(
        policy, request, route, verdict,
        [&](const Applied& applied) -> Applied& { return verdict.add(applied); },
        [&](const Applied& a) {
            return table.take(a.key, a.limit->account.id, a.limit->bucket, a.cost, now);
        });
    if (verdict.kind == Verdict::Kind::limited)
        for (const Applied& applied : verdict.applied())
            if (applied.asked && applied.answer.admitted)
                table.give_back(applied.key, applied.limit->account.id, applied.limit->bucket, applied.cost);
    count(verdict);
    return verdict;
}

Verdict explain(const Policy& policy, const limit::ClientTable& table, const Request& request,
                std::size_t route, limit::Nanos now) {
    Verdict verdict;
    walk(
        policy, request, route, verdict,
        [&](const Applied& applied) -> Applied& { return verdict.add(applied); },
        [&](const Applied& a) {
            return table.peek(a.key, a.limit->account.id, a.limit->bucket, a.cost, now);
        });
    return verdict;
}

}  // namespace sluice::policy
