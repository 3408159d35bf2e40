#include "service/limit/client_table.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "service/limit/client_shard.h"
#include "service/limit/rule_book.h"
#include "service/limit/secret.h"
#include "service/limit/shared_buckets.h"

namespace sluice::limit {

namespace {

constexpr std::size_t kEntriesPerShard = 2048;  // so that growing a shard, under its lock, takes some 30 µs
// As many at least, for a reload may raise `max`: a shard of 100,000s would be locked for milliseconds to
// grow.
constexpr std::size_t kShardBitsMin = 5;
constexpr std::size_t kShardBitsMax = 20;
constexpr std::size_t kReach = 128;  // entries that are looked at to find one that owes nothing
constexpr std::size_t kShardsNear = 64;
constexpr std::size_t kPlacesPerLock = 32;
// What a sweep does, in looks at a place: some 6 ns.
constexpr std::size_t kRemoval = 4;
constexpr std::size_t kPagesAtOnce = 16, kShardsAtOnce = 1024;
constexpr auto kRelaxed = std::memory_order_relaxed;

ClientRecord record_of(const ClientEntry& entry, Epoch epoch) {
    return {entry.key, entry.limit(), entry.state(), epoch, entry.allowed, entry.denied, entry.last_seen};
}

}  // namespace

ClientTable::ClientTable(std::uint64_t max, std::uint64_t seed)
    : secret_(random_secret(seed)),
      shard_bits_(
          std::clamp<std::size_t>(std::bit_width(max / kEntriesPerShard), kShardBitsMin, kShardBitsMax)),
      shards_(std::make_unique<ClientShard[]>(std::size_t{1} << shard_bits_)),
      shared_buckets_(std::make_unique<SharedBuckets>()),
      rule_book_(std::make_unique<RuleBook>()),
      bans_(max, seed),
      max_(max),
      bytes_(sizeof(ClientShard) << shard_bits_) {}

ClientTable::~ClientTable() = default;

std::uint64_t ClientTable::hash(const ClientKey& key, LimitId limit) const {
    return siphash_1_3(secret_, key.high(), key.low(), limit);
}

std::size_t ClientTable::shard_of(std::uint64_t hash) const {
    return static_cast<std::size_t>(hash >> 1 >> (63 - shard_bits_));
}

Answer ClientTable::take(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost, Nanos now,
                         Slot* slot) {
    if (rule.in_flight()) [[unlikely]]
        return take_in_flight(key, limit, rule, cost, now, slot);
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    if (ClientEntry* entry = claim(shard, where, key, limit, rule, now)) {
        State state = entry->state();
        const Answer answer = ask(state, shard.epoch, limit, rule, cost, now);
        entry->set(state);
        count(*entry, answer.admitted, now);
        return answer;
    }
    return take_shared(key, limit, rule, cost, now);
}

Answer ClientTable::take_in_flight(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost,
                                   Nanos now, Slot* slot) {
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    Slot lent;
    Answer answer;
    if (ClientEntry* entry = claim(shard, where, key, limit, rule, now)) {
        State state = entry->state();
        answer = take_slot(*rule.in_flight(), shard, state, elsewhere(state, key, limit), cost, lent);
        entry->set(state);
        count(*entry, answer.admitted, now);
    } else {
        answer = take_shared(key, limit, rule, cost, now);
        if (answer.admitted) lent = lent_of_shared(cost);
    }
    if (slot) *slot = lent;
    return answer;
}

/// REQUIRES: the lock of the client's shard is held, so that it gets no entry meanwhile.
Answer ClientTable::take_shared(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost,
                                Nanos now) {
    shared_.fetch_add(1, kRelaxed);
    SharedBucket& common = shared_bucket(key, limit);
    const std::scoped_lock hold(common.lock);
    begin_use(common);
    return ask(common.state, common.epoch, limit, rule, cost, now);
}

/// Of what the client holds, or may hold, under the shared bucket, as one does that got an entry since.
std::uint64_t ClientTable::elsewhere(const State& state, const ClientKey& key, LimitId limit) const {
    return InFlight::beside_shared(state) ? shared_state(key, limit).state.fraction : 0;
}

/// REQUIRES: the shard's lock is held.
Answer ClientTable::take_slot(const InFlight& slots, ClientShard& shard, State& state,
                              std::uint64_t elsewhere, std::uint64_t cost, Slot& slot) {
    if (elsewhere == 0) InFlight::forget_shared(state);
    const bool unused = state.fraction == 0;
    const Answer answer = slots.take(state, cost, elsewhere);
    if (!answer.admitted || cost == 0) return answer;
    if (unused) InFlight::begin_use(state, shard.next_use());
    slot = {.use = InFlight::use(state), .cost = static_cast<std::uint32_t>(cost)};
    return answer;
}

Slot ClientTable::lent_of_shared(std::uint64_t cost) {
    return {.cost = static_cast<std::uint32_t>(cost), .shared = true};
}

void ClientTable::release(const ClientKey& key, LimitId limit, const Slot& slot) {
    if (slot.cost == 0) return;
    if (slot.shared) {
        SharedBucket& common = shared_bucket(key, limit);
        const std::scoped_lock hold(common.lock);
        InFlight::give_back(common.state, slot.cost);
        return;
    }
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    ClientEntry* entry = shard.find(where, key, limit);
    if (!entry || InFlight::use(entry->state()) != slot.use) return;  // forgotten: another's, or nobody's
    State state = entry->state();
    InFlight::give_back(state, slot.cost);
    entry->set(state);
}

Answer ClientTable::peek(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t cost,
                         Nanos now) const {
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    {
        const std::scoped_lock hold(shard.lock);
        if (const ClientEntry* entry = shard.find(where, key, limit)) {
            State state = entry->state();
            const InFlight* slots = rule.in_flight();
            return slots ? slots->take(state, cost, elsewhere(state, key, limit))
                         : rule.peek(read(state, shard.epoch, limit, rule, now), cost, now);
        }
    }
    const Held common = shared_state(key, limit);  // whether there is room or not
    return rule.peek(read(common.state, common.epoch, limit, rule, now), cost, now);
}

Answer ClientTable::peek(const ClientRecord& record, const Rule& rule, std::uint64_t cost, Nanos now) const {
    return rule.peek(read(record.state, record.epoch, record.limit, rule, now), cost, now);
}

Nanos ClientTable::until(const ClientKey& key, LimitId limit, const Rule& rule, std::uint64_t ahead,
                         std::uint64_t cost, Nanos now) const {
    if (ahead == 0) return peek(key, limit, rule, cost, now).retry_after;
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    {
        const std::scoped_lock hold(shard.lock);
        if (const ClientEntry* entry = shard.find(where, key, limit))
            return rule.until(read(entry->state(), shard.epoch, limit, rule, now), ahead + cost, now);
    }
    const Held common = shared_state(key, limit);
    return rule.until(read(common.state, common.epoch, limit, rule, now), ahead + cost, now);
}

void ClientTable::count_refusal(const ClientKey& key, LimitId limit, Nanos now) {
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    if (ClientEntry* entry = shard.find(where, key, limit)) count(*entry, false, now);
}

std::optional<ClientRecord> ClientTable::find(const ClientKey& key, LimitId limit) const {
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    const ClientEntry* entry = shard.find(where, key, limit);
    return entry ? std::optional(record_of(*entry, shard.epoch)) : std::nullopt;
}

bool ClientTable::erase(const ClientKey& key, LimitId limit) {
    const std::uint64_t where = hash(key, limit);
    ClientShard& shard = shards_[shard_of(where)];
    const std::scoped_lock hold(shard.lock);
    ClientEntry* entry = shard.find(where, key, limit);
    if (!entry) return false;
    by_limit_[limit].fetch_sub(1, kRelaxed);
    size_.fetch_sub(1, kRelaxed);
    shard.remove(entry, secret_);
    return true;
}

void ClientTable::count(ClientEntry& entry, bool admitted, Nanos now) {
    entry.last_seen = entry_seconds(now) & 0xffffff;  // the mask is for the compiler
    std::uint32_t& counted = admitted ? entry.allowed : entry.denied;
    counted += counted != ~std::uint32_t{0};
}

/// The client's entry, made if there is room for it. REQUIRES: the shard's lock is held.
ClientEntry* ClientTable::claim(ClientShard& shard, std::uint64_t where, const ClientKey& key, LimitId limit,
                                const Rule& rule, Nanos now) {
    if (ClientEntry* known = shard.find(where, key, limit)) return known;
    if (!reserve()) {
        // The place of the evicted passes to the new one without being given up: `size_` does not move.
        if (!evict(shard, now)) return nullptr;
        // Unless the table was made smaller: for one that comes two leave, or it would never become so.
        if (size_.load(kRelaxed) > max_.load(kRelaxed) && evict(shard, now)) size_.fetch_sub(1, kRelaxed);
    }
    const std::size_t before = shard.bytes();
    ClientEntry fresh{.key = key};
    fresh.last_seen = entry_seconds(now) & 0xffffff;
    fresh.limit_and_one = (limit + 1U) & 0xff;
    ClientEntry* entry = shard.insert(where, fresh, secret_, (max_.load(kRelaxed) >> shard_bits_) + 1);
    if (!entry) {
        size_.fetch_sub(1, kRelaxed);
        return nullptr;
    }
    by_limit_[limit].fetch_add(1, kRelaxed);
    bytes_.fetch_add(shard.bytes() - before, kRelaxed);
    // Who was charged under the shared bucket brings along what that owes.
    if (shared_buckets_->any(limit)) {
        const Held owed = shared_state(key, limit);
        if (!rule.in_flight())
            entry->set(inherited(owed, shard, limit, now));
        else if (owed.state.fraction > 0)
            entry->set(InFlight::fresh_beside_shared());  // slots are given back where they were lent
    }
    return entry;
}

/// Removes one that owes nothing. Where the shard has few entries, those of the shards behind it are looked
/// at, too: their locks are only tried, for whoever holds one may be waiting for ours. False: none was found.
/// REQUIRES: the shard's lock is held.
bool ClientTable::evict(ClientShard& shard, Nanos now) {
    std::size_t reach = kReach;
    ClientShard* from = &shard;
    ClientEntry* leaves = shard.find_evictable(now, bans_, reach);
    const std::size_t shards = std::size_t{1} << shard_bits_;
    const auto at = static_cast<std::size_t>(&shard - shards_.get());
    for (std::size_t i = 1; reach > 0 && i < std::min(shards, kShardsNear); ++i) {
        ClientShard& near = shards_[(at + i) & (shards - 1)];
        if (!near.lock.try_lock()) continue;
        ClientEntry* other = near.find_evictable(now, bans_, reach);
        const bool better =
            other && (!leaves || unseen(other->last_seen, now) > unseen(leaves->last_seen, now));
        ClientShard* const done = better ? std::exchange(from, &near) : &near;
        if (better) leaves = other;
        if (done != &shard) done->lock.unlock();
    }
    if (leaves) {
        by_limit_[leaves->limit()].fetch_sub(1, kRelaxed);
        evicted_full_.fetch_add(1, kRelaxed);
        from->remove(leaves, secret_);
    }
    if (from != &shard) from->lock.unlock();
    return leaves != nullptr;
}

ClientTable::Held ClientTable::shared_state(const ClientKey& key, LimitId limit) const {
    const ClientKey block = key.block();
    const SharedBucket* common = shared_buckets_->find(block, limit, hash(block, limit));
    if (!common) return {};
    const std::scoped_lock hold(common->lock);
    return {common->state, common->epoch};
}

/// Counts one entry more, unless that is more than `max`.
bool ClientTable::reserve() {
    std::uint64_t size = size_.load(kRelaxed);
    do {
        if (size >= max_.load(kRelaxed)) return false;
    } while (!size_.compare_exchange_weak(size, size + 1, kRelaxed));
    return true;
}

SharedBucket& ClientTable::shared_bucket(const ClientKey& key, LimitId limit) {
    const ClientKey block = key.block();
    return shared_buckets_->of(block, limit, hash(block, limit));
}

bool ClientTable::forgettable(const ClientEntry& entry, Nanos idle_seconds, Nanos now) const {
    return entry.used() && unseen(entry.last_seen, now) >= idle_seconds && !owes(entry.state(), now) &&
           bans_.until(entry.key, entry.limit(), now) == 0;
}

// From the top down: behind an entry that leaves are only those that stay. Upwards, all that leave would be
// moved for each one before them, a hundred where the table is full. Returns the work done. REQUIRES: the
// shard's lock is held.
std::size_t ClientTable::sweep_places(ClientShard& shard, std::size_t& below, std::size_t work,
                                      Nanos idle_seconds, Nanos now, Swept& swept) {
    const std::size_t places = shard.places();
    if (below > 2 * places) below = shard.top();
    std::size_t looked_at = 0, removed = 0;
    while (below > 0 && looked_at + removed * kRemoval < work) {
        ++looked_at;
        ClientEntry& entry = shard[below > places ? below - 1 - places : below - 1];
        if (!forgettable(entry, idle_seconds, now)) {
            --below;
            continue;
        }
        by_limit_[entry.limit()].fetch_sub(1, kRelaxed);
        ++removed;
        looked_at += shard.remove(&entry, secret_);  // who moved here is looked at again
    }
    size_.fetch_sub(removed, kRelaxed);
    evicted_idle_.fetch_add(removed, kRelaxed);
    swept.removed += removed;
    swept.looked_at += looked_at;
    return looked_at + removed * kRemoval;
}

std::optional<ClientTable::Cursor> ClientTable::sweep(Cursor from, std::size_t work, Nanos idle, Nanos now,
                                                      Swept& swept) {
    // Seconds are cut off on both sides: only a difference of one more is surely as long.
    const Nanos idle_seconds = std::min<Nanos>(0x7ffffe, (idle + 999'999'999) / 1'000'000'000) + 1;
    for (std::size_t done = 0; done < work;) {
        if (from.shard >> shard_bits_ != 0) return std::nullopt;
        ClientShard& shard = shards_[from.shard];
        const std::scoped_lock hold(shard.lock);
        if (from.place > 0) {
            done += sweep_places(shard, from.place, std::min(work - done, kPlacesPerLock), idle_seconds, now,
                                 swept);
        } else if (shard.sparse()) {
            if (done > 0) return from;
            swept.moved += shard.size();
            shard.shrink(secret_);
            return from;
        } else {
            from = {.shard = from.shard + 1};
            ++done;  // an empty shard costs a look, too
        }
    }
    return from;
}

std::optional<std::size_t> ClientTable::give_back(std::size_t from) {
    const std::size_t end = std::min(from + kShardsAtOnce, std::size_t{1} << shard_bits_);
    for (; from < end; ++from) {
        ClientShard& shard = shards_[from];
        const std::scoped_lock hold(shard.lock);
        if (const std::size_t pages = shard.give_back(kPagesAtOnce)) {
            bytes_.fetch_sub(pages * ClientShard::kPage, kRelaxed);
            return from;
        }
    }
    return from >> shard_bits_ == 0 ? std::optional(from) : std::nullopt;
}

void ClientTable::each(const std::function<void(const ClientRecord&)>& visit) const {
    std::vector<ClientEntry> copy;  // of one shard: its lock is held for that only, some 10 µs
    for (std::size_t i = 0; i >> shard_bits_ == 0; ++i) {
        const Epoch epoch = shards_[i].copy_to(copy);
        for (const ClientEntry& entry : copy)
            if (entry.used()) visit(record_of(entry, epoch));
    }
}

std::uint32_t ClientTable::seconds(Nanos now) {
    return entry_seconds(now);
}

std::uint32_t ClientTable::unseen_seconds(std::uint32_t last_seen, Nanos now) {
    return unseen(last_seen, now);
}

ClientTableStats ClientTable::stats() const {
    return {size_.load(kRelaxed),         max_.load(kRelaxed),
            evicted_idle_.load(kRelaxed), evicted_full_.load(kRelaxed),
            shared_.load(kRelaxed),       bytes_.load(kRelaxed) + shared_buckets_->bytes()};
}

}  // namespace sluice::limit
