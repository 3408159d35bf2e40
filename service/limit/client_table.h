#pragma once

// The clients that limits remember: a bounded hash table from (client, limit) to the state of that client
// under that limit's rule.
//
// Sharded; each shard is open-addressed with linear probing under a spin lock that is held for one decision
// (some 30 ns) or one slice of a sweep, never across a park. Keys are hashed with a random key of this
// process, so that no client can choose to collide. An entry is 40 bytes and a byte of tag; a shard is 0.86
// full when the table is, so that a client costs 48, and never more than 0.9.
//
// Two promises. Forgetting never gives quota back: what leaves the table owes nothing. A flood of keys
// neither gives quota back nor grows the table beyond its bound: when it is full and every neighbour still
// owes, new keys share one bucket for each limit and block of addresses (ClientKey::block) until there is
// room. Who is banned under a limit is neither forgotten nor evicted there.
//
// Any thread may call any function at any time; none allocates but when a shard grows or shrinks, when a
// shared bucket is charged first, and each().

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "service/limit/bans.h"
#include "service/limit/client_key.h"
#include "service/limit/rule.h"

namespace sluice::limit {

struct ClientEntry;
struct SharedBucket;
class ClientShard;
class RuleBook;
class SharedBuckets;

struct ClientTableStats {
    std::uint64_t tracked = 0;
    std::uint64_t max = 0;
    std::uint64_t evicted_idle = 0;  // by the janitor
    std::uint64_t evicted_full = 0;  // made room for another, owing nothing
    std::uint64_t shared = 0;        // decisions made on a shared bucket, since the table was full
    std::uint64_t bytes = 0;         // memory of the table
};

/// One entry as a listing shows it.
struct ClientRecord {
    ClientKey key;
    LimitId limit = 0;
    State state;
    Epoch epoch = kFirstEpoch;  // of the state
    std::uint32_t allowed = 0;
    std::uint32_t denied = 0;
    std::uint32_t last_seen = 0;  // seconds on the table's clock
};

class ClientTable {
  public:
    explicit ClientTable(std::uint64_t max, std::uint64_t seed = 0 /* 0: random */);
    ~ClientTable();
    ClientTable(const ClientTable&) = delete;

    /// Decides: takes `cost` of what the client has under the rule if it is there. Counts the answer for
    /// listings. What a rule that counts requests in flight lent is in `slot`, to be given back.
    Answer take(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost, Nanos now,
                Slot* slot = nullptr);
    /// Gives back what take() or take_all() lent, once; nothing happens when the client was forgotten
    /// meanwhile.
    void release(const ClientKey& key, LimitId limit, const Slot& slot);

    /// One of the limits that a request is charged under.
    struct Charge {
        ClientKey key;
        LimitId limit;
        const Rule* rule;
        std::uint64_t cost;
        bool may_refuse;     // false: what it says has no consequence for the others
        bool quiet = false;  // a refusal is not counted: the request waits, and asks again
        bool asked = false;  // by take_all(): false when one before it refused
        Answer answer{};     // if not asked, what it would have been; nothing where slots are counted
        Slot slot{};         // if it was lent one: nobody refused
    };
    static constexpr std::size_t kChargesMax = 32;
    /// Takes all or none: asks in order until one that may refuse does; then nobody has spent anything. One
    /// step, for whoever else takes of the same clients. A charge that is not admitted and may not refuse
    /// spends nothing. REQUIRES: at most kChargesMax, each under a limit of its own. Like take(), throws
    /// std::bad_alloc where the table is full and there is no memory for a shared bucket; then nobody has
    /// spent anything either.
    void take_all(std::span<Charge> charges, Nanos now);

    /// What take() would answer; spends and creates nothing.
    Answer peek(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost, Nanos now) const;
    /// What it would have answered when the record was made.
    Answer peek(const ClientRecord& record, const Rule& rule, std::uint64_t cost, Nanos now) const;

    /// How long until `cost` would be admitted if those who wait before it got their `ahead` first, and
    /// nobody else came. 0: now, or nobody knows.
    Nanos until(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t ahead,
                std::uint64_t cost, Nanos now) const;
    /// Counts a refusal that take_all() kept quiet about, if the client is known.
    void count_refusal(const ClientKey& key, LimitId limit, Nanos now);

    std::optional<ClientRecord> find(const ClientKey& key, LimitId limit) const;
    /// Forgets the client under that limit; its next request starts with a full bucket. False: it was not
    /// known.
    bool erase(const ClientKey& key, LimitId limit);
    /// Forgets everybody under that limit, bans and what is owed together included, so that its number can be
    /// another's. REQUIRES: nobody uses the limit meanwhile. Some 40 ns for each entry of the table.
    void forget(LimitId limit);

    /// A limit and the rule that it has from now on.
    struct Ruled {
        LimitId limit;
        Rule* rule;
    };
    /// A reload. What was used under the former rule of a limit stays used, in tokens, or as what a sliding
    /// window still weighs. To be called before any of `rules` is used; those before it stay good for
    /// whoever uses them still. Then carry_over() until it says nullopt; until then decisions convert there
    /// and back. The loader's, one load at a time. Does not allocate.
    void come_into_force(std::span<const Ruled> rules, Nanos now);
    /// One slice of it: brings the states of a shard, or of 256 shared buckets, to the rules in force.
    /// Returns where to go on.
    std::optional<std::size_t> carry_over(std::size_t from, Nanos now);

    /// Where a sweep goes on: below which place, in which shard.
    struct Cursor {
        std::size_t shard = 0;
        std::size_t place = ~std::size_t{0};
    };
    /// What was done, since the caller zeroed it.
    struct Swept {
        std::uint64_t removed = 0;
        std::uint64_t looked_at = 0;  // places, and entries behind one that was removed
        std::uint64_t moved = 0;      // entries, to make a shard smaller
    };
    /// One slice of a sweep: removes clients not seen for `idle` that owe nothing. Stops after `work`
    /// units: one for each place looked at; a removal or a move costs more. Returns where to go on, or
    /// nullopt after the last place. No lock is held longer than for 32 places, or to make a shard smaller
    /// that is more than half empty: that is a slice of its own.
    std::optional<Cursor> sweep(Cursor from, std::size_t work, Nanos idle, Nanos now, Swept& swept);

    /// Gives memory back to the kernel that sweeps have left idle: up to 16 pages, of the first shard from
    /// `from` on that has any. Returns the shard to go on with, nullopt: there is no more. Interrupts every
    /// processor that runs one of our threads, so not to be called at every turn.
    std::optional<std::size_t> give_back(std::size_t from);

    /// Calls visit(record) for every entry of a copy of each shard. No lock is held meanwhile; what changes
    /// before a shard's turn is seen as it is then.
    void each(const std::function<void(const ClientRecord&)>& visit) const;

    /// Who is shut out. Asked by the policy; a take() does not look.
    Bans& bans() { return bans_; }
    const Bans& bans() const { return bans_; }

    /// Entries under one limit.
    std::uint64_t clients(LimitId limit) const { return by_limit_[limit].load(std::memory_order_relaxed); }
    ClientTableStats stats() const;
    /// A reload. A table that holds more than that shrinks as its clients leave, and by two that owe nothing
    /// for each that comes.
    void set_max(std::uint64_t max) {
        max_.store(max, std::memory_order_relaxed);
        bans_.set_max(max);
    }

    /// Time as records hold it, and how long before `now` such a time was.
    static std::uint32_t seconds(Nanos now);
    static std::uint32_t unseen_seconds(std::uint32_t last_seen, Nanos now);

  private:
    std::uint64_t hash(const ClientKey& key, LimitId limit) const;
    std::size_t shard_of(std::uint64_t hash) const;
    ClientEntry* claim(ClientShard& shard, std::uint64_t hash, const ClientKey& key, LimitId limit,
                       const Rule& rule, Nanos now);
    Answer take_in_flight(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost,
                          Nanos now, Slot* slot);
    Answer take_shared(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost, Nanos now);
    std::uint64_t elsewhere(const State& state, const ClientKey& key, LimitId limit) const;
    static Answer take_slot(const InFlight& slots, ClientShard& shard, State& state, std::uint64_t elsewhere,
                            std::uint64_t cost, Slot& slot);
    static Slot lent_of_shared(std::uint64_t cost);
    bool reserve();
    bool evict(ClientShard& shard, Nanos now);
    bool forgettable(const ClientEntry& entry, Nanos idle_seconds, Nanos now) const;
    std::size_t sweep_places(ClientShard& shard, std::size_t& below, std::size_t work, Nanos idle_seconds,
                             Nanos now, Swept& swept);
    /// What the rule answers. `state` is one of `epoch`, and stays one.
    Answer ask(State& state, Epoch epoch, LimitId limit, const Rule& rule, std::uint64_t cost,
               Nanos now) const {
        if (epoch == rule.epoch()) [[likely]]
            return rule.take(state, cost, now);
        return ask_converted(state, epoch, limit, rule, cost, now);
    }
    Answer ask_converted(State& state, Epoch epoch, LimitId limit, const Rule& rule, std::uint64_t cost,
                         Nanos now) const;
    State read(const State& state, Epoch epoch, LimitId limit, const Rule& rule, Nanos now) const;
    std::size_t carry_over_shared(std::size_t from, Nanos now);
    static void count(ClientEntry& entry, bool admitted, Nanos now);
    struct Held {
        State state;
        Epoch epoch = kFirstEpoch;
    };
    SharedBucket& shared_bucket(const ClientKey& key, LimitId limit);
    void begin_use(SharedBucket& common) const;
    Held shared_state(const ClientKey& key, LimitId limit) const;
    State inherited(const Held& common, const ClientShard& shard, LimitId limit, Nanos now) const;

    // Fixed.
    const std::array<std::uint64_t, 2> secret_;
    const std::size_t shard_bits_;
    const std::unique_ptr<ClientShard[]> shards_;
    const std::unique_ptr<SharedBuckets> shared_buckets_;
    const std::unique_ptr<RuleBook> rule_book_;

    // Any thread.
    Bans bans_;
    std::atomic<std::uint64_t> max_;
    std::atomic<std::uint64_t> size_{0};
    std::atomic<std::uint64_t> bytes_;
    std::atomic<std::uint64_t> evicted_idle_{0};
    std::atomic<std::uint64_t> evicted_full_{0};
    std::atomic<std::uint64_t> shared_{0};
    std::array<std::atomic<std::uint32_t>, kLimitsMax> by_limit_{};

    // The loader's.
    bool carried_over_ = true;  // all states are of the last epoch
};

}  // namespace sluice::limit
