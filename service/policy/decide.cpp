#include "service/policy/decide.h"

#include <algorithm>

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

void ban(const Limit* limit, limit::Nanos until, limit::Nanos now, Verdict& verdict) {
    verdict.kind = Verdict::Kind::banned;
    verdict.banned_by = limit;
    verdict.banned_for = until - now;
}

void count_banned(const Verdict& verdict) {
    if (verdict.banned_by) verdict.banned_by->account.counters->count(Outcome::banned);
}

/// Of the address, whatever it asks for.
limit::Nanos address_ban(const limit::Bans& bans, const Address& client, limit::Nanos now) {
    return client == kNoAddress ? 0 : bans.until(client, now);
}

/// Of several bans, the one that ends last.
[[gnu::noinline]] void heed_bans(const limit::Bans& bans, limit::Nanos now, Verdict& verdict) {
    for (const Applied& each : verdict.applied()) {
        const limit::Nanos until = ban_under(*each.limit, bans, each.key, now);
        if (until - now > verdict.banned_for) ban(each.limit, until, now, verdict);
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
        if (const limit::Nanos until = address_ban(bans, request.client, now))
            return ban(nullptr, until, now, verdict);
    if (policy.allowed().contain(request.client)) return;
    const std::uint64_t route_name = policy.name_of(route);
    for (const Limit& limit : policy.limits()) {
        if (!limit.match.matches(request)) continue;
        if (const auto key = limit.key.make(request, route_name))
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

bool any_delays(std::span<const Applied> applied) {
    return std::ranges::any_of(applied, [](const Applied& each) { return each.limit->delays; });
}

/// Those that refuse before those that hold: nobody is held whom another limit refuses.
void in_order(std::span<Applied> applied, bool some_delay, auto&& visit) {
    for (Applied& each : applied)
        if (!each.limit->delays) visit(each);
    if (!some_delay) return;
    for (Applied& each : applied)
        if (each.limit->delays) visit(each);
}

/// Asks all limits that apply, and spends when all that may refuse admit.
void ask(limit::ClientTable& table, std::span<Applied> applied, limit::Nanos now) {
    if (applied.empty()) return;
    if (applied.size() == 1 && !applied.front().limit->delays) {  // most often, and cheaper
        Applied& only = applied.front();
        only.answer =
            table.take(only.key, only.limit->account.id, only.limit->rule, only.cost, now, &only.slot);
        only.asked = true;
        return;
    }
    const bool may_be_asked_again = any_delays(applied);
    limit::ShortList<limit::ClientTable::Charge, kLimitsMax> charges;
    in_order(applied, may_be_asked_again, [&](const Applied& each) {
        charges.add({each.key, each.limit->account.id, &each.limit->rule, each.cost, !each.limit->shadow,
                     each.limit->delays || (may_be_asked_again && each.limit->shadow)});
    });
    table.take_all(charges, now);
    in_order(applied, may_be_asked_again, [charge = charges.begin()](Applied& each) mutable {
        each.asked = charge->asked;
        each.answer = charge->answer;
        each.slot = charge->slot;
        ++charge;
    });
}

/// Whatever the table says: others come first.
void stand_behind(Applied& applied) {
    if (applied.answer.admitted) applied.answer.remaining += applied.cost;  // is not spent
    applied.answer.admitted = false;
}

/// Of the limits that would refuse and hold nobody, the first. Each has its answer.
Applied* refuses_now(const limit::ClientTable& table, std::span<Applied> applied, limit::Nanos now) {
    Applied* first = nullptr;
    for (Applied& each : applied) {
        if (each.limit->delays || each.limit->shadow) continue;
        each.answer = table.peek(each.key, each.limit->account.id, each.limit->rule, each.cost, now);
        if (!each.answer.admitted && !first) first = &each;
    }
    return first;
}

/// Whether others wait under one of the limits already; then that refuses, and no other is asked. Unless one
/// refuses that holds nobody: a place is for who could be admitted, or who is over one limit would fill the
/// line of another.
bool stands_behind_others(limit::ClientTable& table, const limit::WaitingRoom& room,
                          std::span<Applied> applied, limit::Nanos now) {
    for (Applied& each : applied) {
        const limit::LimitId id = each.limit->account.id;
        if (!each.limit->delays || !room.anyone(each.key, id)) continue;
        if (Applied* refusing = refuses_now(table, applied, now)) {
            refusing->asked = true;
            table.count_refusal(refusing->key, refusing->limit->account.id, now);
            return true;
        }
        each.answer = table.peek(each.key, id, each.limit->rule, each.cost, now);
        stand_behind(each);
        each.asked = true;
        return true;
    }
    return false;
}

/// What the answers come to.
void conclude(Verdict& verdict) {
    for (const Applied& applied : verdict.applied()) {
        if (!applied.asked || applied.answer.admitted) continue;
        if (applied.limit->shadow) {
            if (!verdict.shadow) verdict.shadow = applied.limit;
        } else if (!verdict.refused_by || (verdict.refused_by->limit->delays && !applied.limit->delays)) {
            verdict.kind = applied.limit->delays ? Verdict::Kind::delayed : Verdict::Kind::limited;
            verdict.refused_by = &applied;
        }
    }
}

/// Once it is known what becomes of the request.
void settle(limit::ClientTable& table, Verdict& verdict, limit::Nanos now) {
    if (verdict.kind == Verdict::Kind::delayed) return;
    count(verdict);
    if (any_delays(verdict.applied())) [[unlikely]]
        for (const Applied& each : verdict.applied())  // what ask() was quiet about
            if (each.limit->shadow && each.asked && !each.answer.admitted)
                table.count_refusal(each.key, each.limit->account.id, now);
    if (verdict.refused_by && verdict.refused_by->limit->ban)
        verdict.strike = strike(table, *verdict.refused_by, now);
}

/// Whether fewer requests like this one are left of `a` than of `b`; one that costs nothing has no end.
bool is_nearer(const Applied& a, const Applied& b) {
    __extension__ using Wide = unsigned __int128;
    const Wide left_of_a = Wide{a.answer.remaining} * b.cost, left_of_b = Wide{b.answer.remaining} * a.cost;
    if (left_of_a != left_of_b) return left_of_a < left_of_b;
    if ((a.cost == 0) != (b.cost == 0)) return b.cost == 0;
    return a.answer.next_token > b.answer.next_token;
}

}  // namespace

const Applied* Verdict::nearest() const {
    const Applied* nearest = nullptr;
    for (const Applied& each : applied()) {
        if (!each.asked || each.limit->shadow) continue;
        if (&each == refused_by) return &each;
        if (!nearest || is_nearer(each, *nearest)) nearest = &each;
    }
    return nearest;
}

telemetry::Verdict account_of(Verdict::Kind kind) {
    switch (kind) {
        case Verdict::Kind::admitted: return telemetry::Verdict::allowed;
        case Verdict::Kind::limited: return telemetry::Verdict::limited;
        case Verdict::Kind::denied: return telemetry::Verdict::denied;
        case Verdict::Kind::banned: return telemetry::Verdict::banned;
        case Verdict::Kind::delayed: break;  // was held, and came to no decision
    }
    return telemetry::Verdict::none;
}

limit::Nanos ban_under(const Limit& limit, const limit::Bans& bans, const limit::ClientKey& key,
                       limit::Nanos now) {
    return limit.shadow ? bans.until_by_operator(key, limit.account.id, now)
                        : bans.until(key, limit.account.id, now);
}

std::optional<Verdict> shut_out(const limit::Bans& bans, const Address& client, limit::Nanos now) {
    const limit::Nanos until = bans.any() ? address_ban(bans, client, now) : 0;
    if (until == 0) return std::nullopt;
    Verdict verdict;
    ban(nullptr, until, now, verdict);
    return verdict;
}

Verdict decide(const Policy& policy, limit::ClientTable& table, const Request& request, std::size_t route,
               limit::Nanos now, const limit::WaitingRoom* room) {
    Verdict verdict;
    gather(policy, table.bans(), request, route, now, verdict,
           [&](const Applied& applied) { verdict.applied_.add(applied); });
    if (verdict.kind == Verdict::Kind::banned) {
        count_banned(verdict);
        return verdict;
    }
    if (!room || !stands_behind_others(table, *room, verdict.applied_, now))
        ask(table, verdict.applied_, now);
    conclude(verdict);
    settle(table, verdict, now);
    return verdict;
}

void ask_again(limit::ClientTable& table, Verdict& verdict, const Address& client, limit::Nanos now) {
    verdict.kind = Verdict::Kind::admitted;
    verdict.refused_by = nullptr;
    verdict.shadow = nullptr;
    if (table.bans().any()) [[unlikely]] {
        if (const limit::Nanos until = address_ban(table.bans(), client, now))
            ban(nullptr, until, now, verdict);
        else
            heed_bans(table.bans(), now, verdict);
        if (verdict.kind == Verdict::Kind::banned) return count_banned(verdict);
    }
    ask(table, verdict.applied_, now);
    conclude(verdict);
    settle(table, verdict, now);
}

void refuse(limit::ClientTable& table, Verdict& verdict, limit::Nanos retry_after, limit::Nanos now) {
    Applied& by = verdict.applied_[static_cast<std::size_t>(verdict.refused_by - verdict.applied_.begin())];
    by.answer.retry_after = retry_after;
    verdict.kind = Verdict::Kind::limited;
    table.count_refusal(by.key, by.limit->account.id, now);
    settle(table, verdict, now);
}

Verdict explain(const Policy& policy, const limit::ClientTable& table, const Request& request,
                std::size_t route, limit::Nanos now, const limit::WaitingRoom* room) {
    Verdict verdict;
    gather(policy, table.bans(), request, route, now, verdict, [&](const Applied& applied) {
        Applied& asked = verdict.applied_.add(applied);
        asked.asked = true;
        asked.answer = table.peek(asked.key, asked.limit->account.id, asked.limit->rule, asked.cost, now);
    });
    if (verdict.kind == Verdict::Kind::banned) return verdict;
    conclude(verdict);
    if (verdict.kind == Verdict::Kind::limited) return verdict;  // takes no place
    for (Applied& each : verdict.applied_) {
        const limit::LimitId id = each.limit->account.id;
        const auto ahead = room && each.limit->delays ? room->ahead(each.key, id) : std::nullopt;
        if (!ahead) continue;
        stand_behind(each);
        each.answer.retry_after = table.until(each.key, id, each.limit->rule, *ahead, each.cost, now);
        verdict.kind = Verdict::Kind::delayed;
        verdict.refused_by = &each;
        break;
    }
    return verdict;
}

}  // namespace sluice::policy
