#include "service/limit/client_table.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <random>

#include "runtime/spin_lock.h"
#include "service/limit/siphash.h"

namespace sluice::limit {

namespace {

constexpr std::size_t kEntriesPerShard = 4096;  // so that growing a shard, under its lock, takes some 40 µs
constexpr std::size_t kFirstPlaces = 8;
constexpr std::size_t kEvictionReach = 64;
constexpr std::size_t kSharedBuckets = 4096;
constexpr std::size_t kPlacesPerLock = 32;
constexpr std::uint8_t kFree = 0xff;

std::array<std::uint64_t, 2> random_secret(std::uint64_t seed) {
    if (seed != 0) return {seed, ~seed};
    std::random_device device;
    const auto word = [&] { return std::uint64_t{device()} << 32 | device(); };
    return {word(), word()};
}

std::uint32_t saturating_increment(std::uint32_t n) {
    return n + (n != ~std::uint32_t{0});
}

}  // namespace

struct ClientTable::Entry {
    ClientKey key;
    Nanos tat = 0;
    std::uint32_t fraction = 0;
    std::uint32_t allowed = 0;
    std::uint32_t denied = 0;
    std::uint32_t last_seen : 24 = 0;
    std::uint32_t limit : 8 = kFree;

    bool used() const { return limit != kFree; }
    Bucket::State state() const { return {tat, fraction}; }
};

struct alignas(64) ClientTable::Shard {
    mutable runtime::SpinLock lock;
    std::uint32_t size = 0;
    std::vector<Entry> places;  // linear probing; no tombstones: removing moves the run behind it up

    std::size_t home(std::uint64_t hash) const {
        return static_cast<std::size_t>((hash & 0xffffffff) * places.size() >> 32);
    }
    std::size_t after(std::size_t place) const { return place + 1 == places.size() ? 0 : place + 1; }
    bool crowded() const { return size + 1 > places.size() * 7 / 8; }

    Entry* find(std::uint64_t hash, const ClientKey& key, LimitId limit) {
        if (size == 0) return nullptr;
        for (std::size_t at = home(hash); places[at].used(); at = after(at))
            if (places[at].key == key && places[at].limit == limit) return &places[at];
        return nullptr;
    }
};

struct alignas(64) ClientTable::SharedBucket {
    runtime::SpinLock lock;
    Bucket::State state;
};

ClientTable::ClientTable(std::uint64_t max, std::uint64_t seed) : secret_(random_secret(seed)), max_(max) {
    static_assert(sizeof(Entry) == 40, "the README promises it");
    shard_bits_ = std::bit_width(std::clamp<std::uint64_t>(max / kEntriesPerShard, 16, 1 << 16)) - 1;
    shards_ = std::make_unique<Shard[]>(std::size_t{1} << shard_bits_);
    shared_buckets_ = std::make_unique<SharedBucket[]>(kSharedBuckets);
    bytes_ = sizeof(Shard) << shard_bits_;
}

ClientTable::~ClientTable() = default;

std::uint64_t ClientTable::hash(const ClientKey& key, LimitId limit) const {
    return siphash_1_3(secret_, key.high(), key.low(), limit);
}

ClientTable::Shard& ClientTable::shard_of(std::uint64_t hash) const {
    return shards_[hash >> (64 - shard_bits_)];
}

Bucket::Answer ClientTable::take(const ClientKey& key, LimitId limit, const Bucket& bucket,
                                 std::uint64_t cost, Nanos now) {
    const std::uint64_t where = hash(key, limit);
    Shard& shard = shard_of(where);
    {
        const std::scoped_lock hold(shard.lock);
        if (Entry* entry = claim(shard, where, key, limit, now)) {
            Bucket::State state = entry->state();
            const Bucket::Answer answer = bucket.take(state, cost, now);
            entry->tat = state.tat;
            entry->fraction = state.fraction;
            entry->last_seen = seconds(now);
            auto& counted = answer.admitted ? entry->allowed : entry->denied;
            counted = saturating_increment(counted);
            return answer;
        }
    }
    shared_.fetch_add(1, std::memory_order_relaxed);
    SharedBucket& common = shared_bucket(key, limit);
    const std::scoped_lock hold(common.lock);
    return bucket.take(common.state, cost, now);
}

void ClientTable::give_back(const ClientKey& key, LimitId limit, const Bucket& bucket, std::uint64_t cost) {
    const std::uint64_t where = hash(key, limit);
    Shard& shard = shard_of(where);
    {
        const std::scoped_lock hold(shard.lock);
        if (Entry* entry = shard.find(where, key, limit)) {
            Bucket::State state = entry->state();
            bucket.give_back(state, cost);
            entry->tat = state.tat;
            entry->fraction = state.fraction;
            if (entry->allowed > 0) --entry->allowed;
            return;
        }
    }
    SharedBucket& common = shared_bucket(key, limit);
    const std::scoped_lock hold(common.lock);
    bucket.give_back(common.state, cost);
}

Bucket::Answer ClientTable::peek(const ClientKey& key, LimitId limit, const Bucket& bucket,
                                 std::uint64_t cost, Nanos now) const {
    const std::uint64_t where = hash(key, limit);
    Shard& shard = shard_of(where);
    Bucket::State state;
    {
        const std::scoped_lock hold(shard.lock);
        if (const Entry* entry = shard.find(where, key, limit)) state = entry->state();
    }
    return bucket.take(state, cost, now);
}

std::optional<ClientRecord> ClientTable::find(const ClientKey& key, LimitId limit) const {
    const std::uint64_t where = hash(key, limit);
    Shard& shard = shard_of(where);
    const std::scoped_lock hold(shard.lock);
    const Entry* entry = shard.find(where, key, limit);
    if (!entry) return std::nullopt;
    return ClientRecord{entry->key, limit, entry->state(), entry->allowed, entry->denied, entry->last_seen};
}

bool ClientTable::erase(const ClientKey& key, LimitId limit) {
    const std::uint64_t where = hash(key, limit);
    Shard& shard = shard_of(where);
    const std::scoped_lock hold(shard.lock);
    Entry* entry = shard.find(where, key, limit);
    if (!entry) return false;
    remove(shard, static_cast<std::size_t>(entry - shard.places.data()));
    size_.fetch_sub(1, std::memory_order_relaxed);
    return true;
}

/// The client's entry, made if there is room for it. REQUIRES: the shard's lock is held.
ClientTable::Entry* ClientTable::claim(Shard& shard, std::uint64_t where, const ClientKey& key, LimitId limit,
                                       Nanos now) {
    if (Entry* known = shard.find(where, key, limit)) return known;
    if (!reserve()) {
        // The place of the evicted passes to the new one without being given up: `size_` does not move.
        if (shard.size == 0 || !evict_near(shard, shard.home(where), now)) return nullptr;
        evicted_full_.fetch_add(1, std::memory_order_relaxed);
    }
    if (shard.crowded()) grow(shard);
    std::size_t at = shard.home(where);
    while (shard.places[at].used()) at = shard.after(at);
    Entry& entry = shard.places[at] = Entry{.key = key};
    entry.limit = limit;
    ++shard.size;
    by_limit_[limit].fetch_add(1, std::memory_order_relaxed);
    return &entry;
}

/// Counts one entry more, unless that is more than `max`.
bool ClientTable::reserve() {
    std::uint64_t size = size_.load(std::memory_order_relaxed);
    do {
        if (size >= max_.load(std::memory_order_relaxed)) return false;
    } while (!size_.compare_exchange_weak(size, size + 1, std::memory_order_relaxed));
    return true;
}

/// Removes the longest unseen of those among the next places that owe nothing.
bool ClientTable::evict_near(Shard& shard, std::size_t place, Nanos now) {
    std::optional<std::size_t> found;
    const std::size_t reach = std::min(kEvictionReach, shard.places.size());
    for (std::size_t i = 0, at = place; i < reach; ++i, at = shard.after(at)) {
        const Entry& entry = shard.places[at];
        if (!entry.used() || Bucket::owes(entry.state(), now)) continue;
        if (!found || entry.last_seen < shard.places[*found].last_seen) found = at;
    }
    if (found) remove(shard, *found);
    return found.has_value();
}

/// Empties a place and closes the gap: an entry behind it that had been pushed past it moves up (Knuth, 6.4
/// R).
void ClientTable::remove(Shard& shard, std::size_t place) {
    by_limit_[shard.places[place].limit].fetch_sub(1, std::memory_order_relaxed);
    --shard.size;
    std::size_t gap = place;
    for (std::size_t at = shard.after(gap); shard.places[at].used(); at = shard.after(at)) {
        const std::size_t home =
            shard.home(hash(shard.places[at].key, static_cast<LimitId>(shard.places[at].limit)));
        const bool between = gap <= at ? gap < home && home <= at : gap < home || home <= at;
        if (between) continue;
        shard.places[gap] = shard.places[at];
        gap = at;
    }
    shard.places[gap] = Entry{};
}

void ClientTable::grow(Shard& shard) {
    const std::size_t places = std::max(kFirstPlaces, shard.places.size() * 5 / 4 + 1);
    std::vector<Entry> old(places);
    old.swap(shard.places);
    for (const Entry& entry : old) {
        if (!entry.used()) continue;
        std::size_t at = shard.home(hash(entry.key, static_cast<LimitId>(entry.limit)));
        while (shard.places[at].used()) at = shard.after(at);
        shard.places[at] = entry;
    }
    bytes_.fetch_add((places - old.size()) * sizeof(Entry), std::memory_order_relaxed);
}

ClientTable::SharedBucket& ClientTable::shared_bucket(const ClientKey& key, LimitId limit) const {
    return shared_buckets_[hash(key.block(), limit) % kSharedBuckets];
}

std::optional<ClientTable::Cursor> ClientTable::sweep(Cursor from, std::size_t entries, Nanos idle, Nanos now,
                                                      std::uint64_t& removed) {
    const std::uint32_t idle_seconds = static_cast<std::uint32_t>(idle / 1'000'000'000);
    while (entries > 0) {
        if (from.shard >> shard_bits_ != 0) return std::nullopt;
        Shard& shard = shards_[from.shard];
        const std::scoped_lock hold(shard.lock);
        const std::size_t end = std::min(from.place + std::min(entries, kPlacesPerLock), shard.places.size());
        while (from.place < end) {
            --entries;
            const Entry& entry = shard.places[from.place];
            const std::uint32_t unseen = (seconds(now) - entry.last_seen) & 0xffffff;
            if (entry.used() && unseen >= idle_seconds && !Bucket::owes(entry.state(), now)) {
                remove(shard, from.place);  // perhaps another has moved here: look at this place again
                size_.fetch_sub(1, std::memory_order_relaxed);
                ++removed;
                evicted_idle_.fetch_add(1, std::memory_order_relaxed);
            } else {
                ++from.place;
            }
            if (entries == 0) break;
        }
        if (from.place >= shard.places.size()) {
            from = {from.shard + 1, 0};
            entries -= entries > 0;  // an empty shard costs a look, too
        }
    }
    return from;
}

void ClientTable::each(const std::function<void(const ClientRecord&)>& visit) const {
    for (std::size_t i = 0; i >> shard_bits_ == 0; ++i) {
        const Shard& shard = shards_[i];
        const std::scoped_lock hold(shard.lock);
        for (const Entry& entry : shard.places)
            if (entry.used())
                visit({entry.key, static_cast<LimitId>(entry.limit), entry.state(), entry.allowed,
                       entry.denied, entry.last_seen});
    }
}

ClientTableStats ClientTable::stats() const {
    const auto get = [](const std::atomic<std::uint64_t>& n) { return n.load(std::memory_order_relaxed); };
    return {get(size_), get(max_), get(evicted_idle_), get(evicted_full_), get(shared_), get(bytes_)};
}

}  // namespace sluice::limit
