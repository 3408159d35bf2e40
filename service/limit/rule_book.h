#pragma once

// By which rule the states of each limit are written, now and before the last reload that changed it: so that
// what was used is known in tokens, whatever became of the rate.
//
// A holder of states (a shard, a shared bucket) is of an epoch. The rule of its states of a limit is the one
// before the limit's last change if that is of a later epoch, else the one since. There are never more than
// two to know: change() comes only when carry_over() has brought all holders to the last epoch.
//
// Any thread may call epoch() and of() at any time; the rest is the loader's, one load at a time.

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "runtime/spin_lock.h"
#include "service/limit/client_key.h"
#include "service/limit/rule.h"

namespace sluice::limit {

class RuleBook {
  public:
    Epoch epoch() const {
        const std::scoped_lock hold(lock_);
        return epoch_;
    }

    /// The rule by which a holder of that epoch has its states of the limit written; none: by any.
    std::optional<Rule> of(LimitId limit, Epoch epoch) const;

    // The loader's, who alone changes what they read.

    /// Whether a holder of that epoch has states of the limit that mean something else by now.
    bool outdated(LimitId limit, Epoch epoch) const { return epoch < limits_[limit].since; }
    /// Such a state, as it is now.
    State renewed(const State& state, LimitId limit, Nanos now) const;
    /// Whether `rule` reads states of the limit otherwise than the one in force.
    bool changes(LimitId limit, const Rule& rule) const;
    /// The rule that is in force from the epoch on.
    void change(LimitId limit, const Rule& rule, Epoch epoch);
    /// REQUIRES: there are no states under the limit.
    void forget(LimitId limit);

  private:
    struct Rules {
        std::optional<Rule> before, now;
        Epoch since = 0;  // the first epoch of `now`
    };

    mutable runtime::SpinLock lock_;  // of what follows, but for the loader's own reading
    Epoch epoch_ = kFirstEpoch;
    std::array<Rules, kLimitsMax> limits_{};
};

}  // namespace sluice::limit
