#pragma once

// One shard of the table of clients: open addressing with linear probing and no tombstones. What is probed
// are tags, a byte for each place, so that a search reads one or two lines of them and hardly ever an entry
// of another client. Plain data; whoever calls holds its lock. Where an entry belongs
// grows with its hash, so growing keeps the order and runs through memory once.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/spin_lock.h"
#include "service/limit/bans.h"
#include "service/limit/client_key.h"
#include "service/limit/entry_pages.h"
#include "service/limit/siphash.h"
#include "service/limit/state.h"

namespace sluice::limit {

using HashSecret = std::array<std::uint64_t, 2>;

/// One client under one limit. All zero: a free place.
struct ClientEntry {
    ClientKey key;
    Nanos tat;
    std::uint32_t fraction;
    std::uint32_t allowed;
    std::uint32_t denied;
    std::uint32_t last_seen : 24;  // seconds, wrapping
    std::uint32_t limit_and_one : 8;

    bool used() const { return limit_and_one != 0; }
    bool is(const ClientKey& k, std::uint8_t limit) const { return key == k && limit_and_one == limit + 1U; }
    std::uint8_t limit() const { return static_cast<std::uint8_t>(limit_and_one - 1); }
    State state() const { return {tat, fraction}; }
    void set(const State& state) {
        tat = state.tat;
        fraction = state.fraction;
    }
    std::uint64_t hash(const HashSecret& secret) const {
        return siphash_1_3(secret, key.high(), key.low(), limit());
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
    static constexpr std::size_t kPage = EntryPages<ClientEntry>::kPage;

    mutable runtime::SpinLock lock;
    Epoch epoch = kFirstEpoch;  // of all its states

    std::size_t size() const { return size_; }
    std::size_t places() const { return places_.size(); }
    ClientEntry& operator[](std::size_t place) { return places_[place]; }
    const ClientEntry& operator[](std::size_t place) const { return places_[place]; }

    ClientEntry* find(std::uint64_t hash, const ClientKey& key, std::uint8_t limit) {
        if (size_ == 0) return nullptr;
        std::size_t at = home(hash);
        // Most are at home or next to it: asked for together with the tags.
        __builtin_prefetch(places_.begin() + at);
        __builtin_prefetch(places_.begin() + at + 2);
        const std::uint64_t tag = tag_of(hash) * kEach;
        for (;; at = after(at, Pages::kGroup)) {
            const std::uint64_t group = places_.group(at);
            const std::uint64_t free = ~group & kHighBits;
            // Bytes that are the tag, and perhaps others behind one that is; none behind the first free
            // place.
            const std::uint64_t other = group ^ tag;
            std::uint64_t same = (other - kEach) & ~other & kHighBits & (free - 1) & ~free;
            for (; same != 0; same &= same - 1) {
                ClientEntry& entry = places_[after(at, static_cast<std::size_t>(std::countr_zero(same)) / 8)];
                if (entry.is(key, limit)) return &entry;
            }
            if (free != 0) return nullptr;
        }
    }

    /// Adds what is not there; grows when less than a tenth of the places would stay free. `expected`: how
    /// many it holds when the table is full. nullptr: it is full, and there is no memory.
    ClientEntry* insert(std::uint64_t hash, const ClientEntry& entry, const HashSecret& secret,
                        std::size_t expected);

    /// Removes an entry. What was behind it may move to its place. Returns how many were looked at for that:
    /// all up to the next free place.
    std::size_t remove(ClientEntry* entry, const HashSecret& secret);

    /// Of the next `reach` entries: the longest unseen that owes nothing and is not banned; nullptr: there is
    /// none. Takes off `reach` how many there were. The next search goes on behind them.
    ClientEntry* find_evictable(Nanos now, const Bans& bans, std::size_t& reach);

    /// Behind the last place, and behind those that follow it around the end up to the first free one. Who
    /// removes from here down to place 0 sees all, and closes gaps only over those that stay.
    std::size_t top() const { return places() == 0 ? 0 : places() + free_place(0); }

    /// More than half of its places lie idle.
    bool sparse() const { return size_ == 0 ? places() > 0 : places_.pages() >= 2 * enough_pages(); }
    /// Moves all to fewer places, on pages that it has; the others are idle. REQUIRES: sparse().
    void shrink(const HashSecret& secret);
    /// Gives up to `most` idle pages back to the kernel. Returns how many.
    std::size_t give_back(std::size_t most) { return places_.give_back(most); }

    std::size_t bytes() const { return places_.resident() * kPage; }

    /// A number that no use of an entry of this shard had before (InFlight::begin_use).
    std::uint64_t next_use() { return ++uses_; }

    /// Takes the lock itself. Returns the epoch of the states.
    Epoch copy_to(std::vector<ClientEntry>& copy) const;

  private:
    using Pages = EntryPages<ClientEntry>;
    static constexpr std::uint64_t kEach = 0x0101010101010101;
    static constexpr std::uint64_t kHighBits = 0x8080808080808080;

    /// Seven bits of the hash that tell neither the shard nor the place, and one that tells the place is
    /// used.
    static std::uint8_t tag_of(std::uint64_t hash) { return static_cast<std::uint8_t>(hash >> 32 | 0x80); }
    static std::size_t home(std::uint64_t hash, std::size_t size) {
        return static_cast<std::size_t>((hash & 0xffffffff) * size >> 32);
    }
    std::size_t home(std::uint64_t hash) const { return home(hash, places_.size()); }
    /// REQUIRES: by <= kGroup.
    std::size_t after(std::size_t place, std::size_t by = 1) const {
        return place + by < places_.size() ? place + by : place + by - places_.size();
    }
    std::size_t free_place(std::size_t at) const;
    void put(std::size_t place, const ClientEntry& entry, std::uint8_t tag) {
        places_[place] = entry;
        places_.set_tag(place, tag);
    }
    static std::size_t full_pages(std::size_t expected);
    std::size_t enough_pages() const;
    std::size_t next_size(std::size_t expected, std::uint64_t hash) const;
    bool grow(std::uint64_t hash, const HashSecret& secret, std::size_t expected);
    bool move_to(std::size_t pages, std::size_t reserve, const HashSecret& secret);
    void spread(const HashSecret& secret);

    std::uint32_t size_ = 0;
    std::uint32_t hand_ = 0;
    std::uint64_t uses_ = 0;
    Pages places_;
};

}  // namespace sluice::limit
