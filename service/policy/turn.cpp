#include "service/policy/turn.h"

#include <algorithm>

#include "runtime/this_task.h"
#include "service/limit/nanos.h"

namespace sluice::policy {

namespace {

using Kind = Verdict::Kind;
using limit::Nanos;
using limit::nanos;

runtime::Time time(Nanos nanos) {
    return runtime::Time(runtime::Duration(nanos));
}

/// One request in the line of one limit.
class Waiting {
  public:
    Waiting(limit::ClientTable& table, limit::WaitingRoom& room, Verdict& verdict, const Address& client,
            Nanos came)
        : table_(table),
          verdict_(verdict),
          client_(client),
          by_(*verdict.refused_by),
          deadline_(came + by_.limit->settings.max_delay.count()),
          place_(room, by_.key, by_.limit->account.id, by_.cost) {}

    /// Until the verdict is another, or it is another limit that holds the request.
    Turn run(Nanos now, const std::function<std::optional<Turn>()>& ended, bool& held) {
        if (const Nanos wait = until_those_before_have_theirs(now); wait > deadline_ - now)
            return refused(wait, now);
        for (Nanos turn = now;;) {
            if (place_.first()) {
                // At the turn, not a little later when the timer woke us: or the bucket would lose that.
                const Nanos asked_at = std::min(now, turn);
                ask_again(table_, verdict_, client_, asked_at);
                if (verdict_.kind != Kind::delayed || verdict_.refused_by->limit != by_.limit)
                    return Turn::decided;
                const Nanos wait = verdict_.refused_by->answer.retry_after;
                if (wait > deadline_ - asked_at || now >= deadline_) return refused(wait, now);
                turn = wait > 0 ? asked_at + wait : deadline_;
            } else if (now >= deadline_) {
                return refused(until_those_before_have_theirs(now), now);
            } else {
                turn = deadline_;
            }
            held = true;
            place_.wait(std::min(time(turn), time(now) + kHeldWatch));
            now = nanos(runtime::now());
            if (runtime::this_task::cancelled()) return Turn::gone;  // it would park no more
            if (const auto end = ended()) return *end;
        }
    }

  private:
    Nanos until_those_before_have_theirs(Nanos now) const {
        return table_.until(by_.key, by_.limit->account.id, by_.limit->rule, place_.ahead(), by_.cost, now);
    }
    Turn refused(Nanos retry_after, Nanos now) {
        refuse(table_, verdict_, retry_after, now);
        return Turn::decided;
    }

    limit::ClientTable& table_;
    Verdict& verdict_;
    const Address& client_;
    const Applied& by_;
    const Nanos deadline_;
    limit::WaitingRoom::Place place_;
};

}  // namespace

Turn await_turn(limit::ClientTable& table, limit::WaitingRoom& room, Verdict& verdict, const Address& client,
                const std::function<std::optional<Turn>()>& ended, bool& held) {
    const Limit& first = *verdict.refused_by->limit;
    const Nanos came = nanos(runtime::now());
    for (Nanos now = came; verdict.kind == Kind::delayed; now = nanos(runtime::now())) {
        const Turn turn = Waiting(table, room, verdict, client, came).run(now, ended, held);
        if (turn != Turn::decided) return turn;
    }
    if (held && verdict.kind == Kind::admitted)
        first.account.counters->count(telemetry::LimitCounters::Outcome::delayed);
    return Turn::decided;
}

}  // namespace sluice::policy
