// A reload that changes the rate of a limit. What is owed is kept as time, or as counts of windows, and would
// mean another number of tokens under the new rule.
//
// 1. come_into_force() writes the new rules into the book, under a new epoch. 2. The snapshot of policies is
// replaced. 3. carry_over() goes through all shards and shared buckets, converts their states, and notes the
// epoch in each. 4. Only then may the next come_into_force() begin.
//
// A shard's epoch is read under its lock together with its states. Where a rule of another epoch asks, before
// the walk has come by or because its request began before the reload, it asks a converted copy, and what it
// took is converted back. So requests under both rules take from the same tokens, in either order, and no
// other ever waits for more than one shard to be converted. All that rounds rounds up what is owed.
//
// Whoever only asks whether something is owed at all need not convert: nothing is nothing under any rule.

#include <mutex>

#include "service/limit/client_shard.h"
#include "service/limit/client_table.h"
#include "service/limit/rule_book.h"
#include "service/limit/shared_buckets.h"

namespace sluice::limit {

void ClientTable::come_into_force(std::span<const Ruled> rules, Nanos now) {
    // Of an earlier reload, if what should have done so was cut short.
    for (std::optional<std::size_t> at = 0; at;) at = carry_over(*at, now);
    bool changes = false;
    for (const Ruled& each : rules) changes = changes || rule_book_->changes(each.limit, *each.rule);
    const Epoch epoch = rule_book_->epoch() + (changes ? 1 : 0);
    carried_over_ = !changes;
    for (const Ruled& each : rules) {
        rule_book_->change(each.limit, *each.rule, epoch);
        each.rule->set_epoch(epoch);
    }
}

std::optional<std::size_t> ClientTable::carry_over(std::size_t from, Nanos now) {
    if (carried_over_) return std::nullopt;
    const std::size_t shards = std::size_t{1} << shard_bits_;
    if (from < shards) {
        ClientShard& shard = shards_[from];
        const Epoch epoch = rule_book_->epoch();
        const std::scoped_lock hold(shard.lock);
        for (std::size_t at = 0; at < shard.places(); ++at) {
            ClientEntry& entry = shard[at];
            if (!entry.used() || !rule_book_->outdated(entry.limit(), shard.epoch)) continue;
            if (!owes(entry.state(), now)) continue;
            entry.set(rule_book_->renewed(entry.state(), entry.limit(), now));
        }
        shard.epoch = epoch;
        return from + 1;
    }
    const std::size_t next = carry_over_shared(from - shards, now);
    if (next < kLimitsMax * SharedBuckets::kPages) return shards + next;
    carried_over_ = true;
    return std::nullopt;
}

/// One page of shared buckets, from the `from`-th on of all that there may be.
std::size_t ClientTable::carry_over_shared(std::size_t from, Nanos now) {
    const Epoch epoch = rule_book_->epoch();
    for (; from < kLimitsMax * SharedBuckets::kPages; ++from) {
        const auto limit = static_cast<LimitId>(from / SharedBuckets::kPages);
        if (!rule_book_->outdated(limit, epoch - 1) || !shared_buckets_->any(limit)) {
            from = (limit + std::size_t{1}) * SharedBuckets::kPages - 1;
            continue;
        }
        SharedBuckets::Page* page = shared_buckets_->page(limit, from % SharedBuckets::kPages);
        if (!page) continue;
        for (SharedBucket& bucket : *page) {
            const std::scoped_lock hold(bucket.lock);
            if (bucket.epoch == 0 || bucket.epoch == epoch) continue;
            bucket.state = rule_book_->renewed(bucket.state, limit, now);
            bucket.epoch = epoch;
        }
        return from + 1;
    }
    return from;
}

/// REQUIRES: the bucket's lock is held.
void ClientTable::begin_use(SharedBucket& common) const {
    if (common.epoch == 0) common.epoch = rule_book_->epoch();
}

// Where nothing was taken, the state stays: a copy may be cut down to what the rule believes.
Answer ClientTable::ask_converted(State& state, Epoch epoch, LimitId limit, const Rule& rule,
                                  std::uint64_t cost, Nanos now) const {
    const auto writer = rule_book_->of(limit, epoch);
    if (!writer || rule.reads_as(*writer)) return rule.take(state, cost, now);
    State copy = rule.adopt(state, *writer, now);
    const Answer answer = rule.take(copy, cost, now);
    if (answer.admitted && cost > 0) state = writer->adopt(copy, rule, now);
    return answer;
}

State ClientTable::read(const State& state, Epoch epoch, LimitId limit, const Rule& rule, Nanos now) const {
    if (epoch == rule.epoch()) return state;
    const auto writer = rule_book_->of(limit, epoch);
    return writer ? rule.adopt(state, *writer, now) : state;
}

/// What a new entry of the shard brings along. REQUIRES: the shard's lock is held.
State ClientTable::inherited(const Held& common, const ClientShard& shard, LimitId limit, Nanos now) const {
    if (common.epoch == shard.epoch) return common.state;
    const auto writer = rule_book_->of(limit, common.epoch), reader = rule_book_->of(limit, shard.epoch);
    return writer && reader ? reader->adopt(common.state, *writer, now) : common.state;
}

}  // namespace sluice::limit
