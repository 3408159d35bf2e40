#pragma once

// One shard of the table of clients: open addressing with linear probing and no tombstones. Plain data;
// whoever calls holds its lock. Where an entry belongs grows with its hash, so growing keeps the order and
// runs through memory once.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/spin_lock.h"
#include "service/limit/client_key.h"
#include "service/limit/gcra.h"
#include "service/limit/siphash.h"

namespace sluice::limit {

using HashSecret = std::array<std::uint64_t, 2>;

struct ClientEntry {
    static constexpr std::uint8_t kFree = 0xff;

    ClientKey key;
    Nanos tat = 0;
    std::uint32_t fraction = 0;
    std::uint32_t allowed = 0;
    std::uint32_t denied = 0;
    std::uint32_t last_seen : 24 = 0;  // seconds, wrapping
    std::uint32_t limit : 8 = kFree;

    bool used() const { return limit != kFree; }
    Bucket::State state() const { return {tat, fraction}; }
    void set(const Bucket::State& state) {
        tat = state.tat;
        fraction = state.fraction;
    }
    std::uint64_t hash(const HashSecret& secret) const {
        return siphash_1_3(secret, key.high(), key.low(), limit);
    }
};
static_assert(sizeof(ClientEntry) == 40, "the README promises it");

/// Time as entries hold it: seconds, modulo 2^24.
inline std::uint32_t entry_seconds(Nanos now) {
    return static_cast<std::uint32_t>(now / 1'000'000'000) & 0xffffff;
}

/// Seconds since an entry was seen last, up to 97 days. A time a little later than `now`, read by another
/// thread, is 0.
inline std::uint32_t unseen(std::uint32_t last_seen, Nanos now) {
    const std::uint32_t difference = (entry_seconds(now) - last_seen) & 0xffffff;
    return difference < 0x800000 ? difference : 0;
}

class alignas(64) ClientShard {
  public:
    mutable runtime::SpinLock lock;

    std::size_t size() const { return size_; }
    std::size_t places() const { return places_.size(); }
    ClientEntry& operator[](std::size_t place) { return places_[place]; }
    const ClientEntry& operator[](std::size_t place) const { return places_[place]; }

    ClientEntry* find(std::uint64_t hash, const ClientKey& key, std::uint8_t limit) {
        if (size_ == 0) return nullptr;
        for (std::size_t at = home(hash); places_[at].used(); at = after(at))
            if (places_[at].key == key && places_[at].limit == limit) return &places_[at];
        return nullptr;
    }

    /// Adds what is not there; grows when less than a ninth of the places would stay free.
    ClientEntry& insert(std::uint64_t hash, const ClientEntry& entry, const HashSecret& secret);

    /// Removes an entry. What was behind it may move to its place.
    void remove(ClientEntry* entry, const HashSecret& secret);

    /// Of the next places: the one that holds the longest unseen client that owes nothing; nullptr: they all
    /// owe. A search looks at 128 places; the next goes on behind them.
    ClientEntry* find_evictable(Nanos now);

    /// Gives memory back when more than half of it lies idle; returns how many places.
    std::size_t shrink(const HashSecret& secret);

    /// Takes the lock itself.
    void copy_to(std::vector<ClientEntry>& copy) const;

  private:
    std::size_t home(std::uint64_t hash) const {
        return static_cast<std::size_t>((hash & 0xffffffff) * places_.size() >> 32);
    }
    std::size_t after(std::size_t place) const { return place + 1 == places_.size() ? 0 : place + 1; }
    void resize(std::size_t places, const HashSecret& secret);

    std::uint32_t size_ = 0;
    std::uint32_t hand_ = 0;
    std::vector<ClientEntry> places_;
};

}  // namespace sluice::limit
