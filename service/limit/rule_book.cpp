#include "service/limit/rule_book.h"

#include <utility>

namespace sluice::limit {

std::optional<Rule> RuleBook::of(LimitId limit, Epoch epoch) const {
    const std::scoped_lock hold(lock_);
    const Rules& rules = limits_[limit];
    return epoch < rules.since ? rules.before : rules.now;
}

State RuleBook::renewed(const State& state, LimitId limit, Nanos now) const {
    const Rules& rules = limits_[limit];
    return rules.now->adopt(state, *rules.before, now);
}

bool RuleBook::changes(LimitId limit, const Rule& rule) const {
    const auto& now = limits_[limit].now;
    return now && !rule.reads_as(*now);
}

// One that means the same is kept as well: its burst bounds what is carried over.
void RuleBook::change(LimitId limit, const Rule& rule, Epoch epoch) {
    const bool another = changes(limit, rule);
    const std::scoped_lock hold(lock_);
    epoch_ = epoch;
    Rules& rules = limits_[limit];
    if (another) {
        rules.before = rules.now;
        rules.since = epoch;
    }
    rules.now = rule;
}

void RuleBook::forget(LimitId limit) {
    const std::scoped_lock hold(lock_);
    limits_[limit] = {};
}

}  // namespace sluice::limit
