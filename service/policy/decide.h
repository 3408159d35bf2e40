#pragma once

// The decision about one request. Several limits are charged all or none, in one step for everyone else: they
// are asked in order, those that hold requests behind the others, and when one refuses, none of them has
// spent anything, those in shadow mode neither. So nobody takes a place in a line whom another limit refuses.
// Who is banned is refused before any is asked: the address by an operator, whatever it asks for, or the key
// of a limit that would have to admit it. A limit in shadow mode bans nobody, and heeds only what an operator
// banned under it. Never touches a socket; allocates nothing; some 60 ns for one limit.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "service/limit/short_list.h"
#include "service/limit/waiting_room.h"
#include "service/policy/policy.h"
#include "service/policy/request.h"
#include "service/telemetry/outcome.h"

namespace sluice::policy {

/// One limit that applied to a request, and what it said.
struct Applied {
    const Limit* limit;
    limit::ClientKey key;
    std::uint64_t cost;
    limit::Answer answer;
    limit::Slot slot;  // of a limit that counts requests in flight: what it lent (slots.h gives it back)
    bool asked;  // false: an earlier limit had refused already, and `answer` counts for when to come back
                 // alone (explain() asks all)
};

/// The request costs more than the limit ever holds.
inline bool is_never_admitted(const Applied& refused) {
    return refused.answer.retry_after == limit::kNever;
}

class Verdict {
  public:
    /// delayed: the limit that refuses holds the request until its turn. Nothing is spent or counted so far.
    enum class Kind : std::uint8_t { admitted, limited, denied, banned, delayed };

    Verdict() = default;
    Verdict(const Verdict& other) { *this = other; }
    Verdict& operator=(const Verdict& other) {
        kind = other.kind;
        shadow = other.shadow;
        banned_by = other.banned_by;
        banned_for = other.banned_for;
        strike = other.strike;
        applied_ = other.applied_;
        refused_by =
            other.refused_by ? applied_.begin() + (other.refused_by - other.applied_.begin()) : nullptr;
        return *this;
    }

    Kind kind = Kind::admitted;
    const Applied* refused_by = nullptr;  // kind == limited or delayed
    const Limit* shadow = nullptr;        // the first limit in shadow mode that would have refused
    const Limit* banned_by = nullptr;     // kind == banned; nullptr: the address is, under any limit
    limit::Nanos banned_for = 0;          // from now
    limit::Bans::Strike strike =
        limit::Bans::Strike::counted;  // kind == limited: whether it was one too many

    std::span<const Applied> applied() const { return applied_; }
    /// The limit nearest to refusing, of those that are enforced and were asked: the one that did, else the
    /// one that fewest requests like this are left of, and of several the one that takes longest to have
    /// more. nullptr: none was.
    const Applied* nearest() const;

  private:
    friend Verdict decide(const Policy&, limit::ClientTable&, const Request&, std::size_t, limit::Nanos,
                          const limit::WaitingRoom*);
    friend void ask_again(limit::ClientTable&, Verdict&, const Address&, limit::Nanos);
    friend void refuse(limit::ClientTable&, Verdict&, limit::Nanos, limit::Nanos);
    friend Verdict explain(const Policy&, const limit::ClientTable&, const Request&, std::size_t,
                           limit::Nanos, const limit::WaitingRoom*);

    limit::ShortList<Applied, kLimitsMax> applied_;
};

/// What the accounts call it.
telemetry::Verdict account_of(Verdict::Kind kind);

/// When the ban of a key under its limit ends; 0: it has none that counts. In shadow mode only an operator's
/// does: the limit itself may have banned when it was enforced.
limit::Nanos ban_under(const Limit& limit, const limit::Bans& bans, const limit::ClientKey& key,
                       limit::Nanos now);

/// The verdict of whoever is banned whatever they ask for, if they are.
std::optional<Verdict> shut_out(const limit::Bans& bans, const Address& client, limit::Nanos now);

/// Decides, and spends what the decision costs. `route` is the request's, for keys that are made of it. If
/// others already wait in `room` for one of the limits, the request queues behind them: delayed. Not if a
/// limit refuses it that does not delay: limited, by that one.
Verdict decide(const Policy& policy, limit::ClientTable& table, const Request& request, std::size_t route,
               limit::Nanos now, const limit::WaitingRoom* room = nullptr);

/// Decides again about a delayed request of `client`, which is at the front of its line. If the client was
/// banned meanwhile, the verdict is banned.
void ask_again(limit::ClientTable& table, Verdict& verdict, const Address& client, limit::Nanos now);
/// Ends a delay: limited, and told to wait for `retry_after`.
void refuse(limit::ClientTable& table, Verdict& verdict, limit::Nanos retry_after, limit::Nanos now);

/// What decide() would say now, and what all limits would, the later ones too; spends, counts and remembers
/// nothing. Of a limit where others wait in `room`, retry_after is when all of them had their turn.
Verdict explain(const Policy& policy, const limit::ClientTable& table, const Request& request,
                std::size_t route, limit::Nanos now, const limit::WaitingRoom* room = nullptr);

}  // namespace sluice::policy
