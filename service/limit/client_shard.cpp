#include "service/limit/client_shard.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace sluice::limit {

std::size_t ClientShard::free_place(std::size_t at) const {
    for (;; at = after(at, Pages::kGroup))
        if (const std::uint64_t free = ~places_.group(at) & kHighBits)
            return after(at, static_cast<std::size_t>(std::countr_zero(free)) / 8);
}

/// Pages of a shard in a full table, 0.86 of them used.
std::size_t ClientShard::full_pages(std::size_t expected) {
    return std::max<std::size_t>(1, expected * (sizeof(ClientEntry) + 1) * 50 / 43 / Pages::kPage);
}

// By a quarter, until it has what it needs in a full table: each client is moved four times on its way there.
// Where more than expected came, by a tenth.
std::size_t ClientShard::next_size(std::size_t expected, std::uint64_t hash) const {
    const std::size_t pages = places_.pages(), full = full_pages(expected);
    if (pages < full) {
        const std::size_t more = pages + std::max<std::size_t>(1, pages / 4);
        return more * 8 / 7 >= full ? full : more;  // not twice for little
    }
    return pages + std::max<std::size_t>(1, (pages + hash % 10) / 10);
}

/// Room for another; a fifth more of it kept free than a full table needs, for shards that get more than
/// their share.
bool ClientShard::grow(std::uint64_t hash, const HashSecret& secret, std::size_t expected) {
    const std::size_t pages = next_size(expected, hash);
    if (pages > places_.reserved()) return move_to(pages, full_pages(expected) * 6 / 5 + 1, secret);
    places_.grow(pages);
    spread(secret);
    return true;
}

ClientEntry* ClientShard::insert(std::uint64_t hash, const ClientEntry& entry, const HashSecret& secret,
                                 std::size_t expected) {
    if (size_ + 1 > places_.size() * 9 / 10 && !grow(hash, secret, expected) && size_ + 1 >= places_.size())
        return nullptr;
    const std::size_t at = free_place(home(hash));
    ++size_;
    put(at, entry, tag_of(hash));
    return &places_[at];
}

// Knuth, 6.4 R: an entry behind the gap moves into it unless its home is between them.
std::size_t ClientShard::remove(ClientEntry* entry, const HashSecret& secret) {
    --size_;
    std::size_t looked_at = 0;
    auto gap = static_cast<std::size_t>(entry - places_.begin());
    for (std::size_t at = after(gap); places_[at].used(); at = after(at), ++looked_at) {
        const std::size_t to = home(places_[at].hash(secret));
        const bool between = gap <= at ? gap < to && to <= at : gap < to || to <= at;
        if (between) continue;
        put(gap, places_[at], places_.tag(at));
        gap = at;
    }
    put(gap, ClientEntry{}, 0);
    return looked_at;
}

ClientEntry* ClientShard::find_evictable(Nanos now, const Bans& bans, std::size_t& reach) {
    ClientEntry* found = nullptr;
    if (hand_ >= places_.size()) hand_ = 0;
    for (std::size_t left = places_.size(); left > 0 && reach > 0; --left) {
        ClientEntry& entry = places_[hand_];
        hand_ = static_cast<std::uint32_t>(after(hand_));
        if (!entry.used()) continue;
        --reach;
        if (owes(entry.state(), now)) continue;
        if (found && unseen(entry.last_seen, now) <= unseen(found->last_seen, now)) continue;
        if (bans.until(entry.key, entry.limit(), now) == 0) found = &entry;
    }
    return found;
}

std::size_t ClientShard::enough_pages() const {
    return size_ == 0 ? 0 : 1 + size_ * (sizeof(ClientEntry) + 1) * 5 / 4 / Pages::kPage;
}

// Together at the front first, and from there to their places as when growing.
void ClientShard::shrink(const HashSecret& secret) {
    std::size_t kept = 0;
    for (const ClientEntry& entry : places_)
        if (entry.used()) places_[kept++] = entry;
    places_.shrink(enough_pages(), kept);
    spread(secret);
}

Epoch ClientShard::copy_to(std::vector<ClientEntry>& copy) const {
    const std::scoped_lock hold(lock);
    copy.assign(places_.begin(), places_.end());
    return epoch;
}

/// Moves to new pages, for a shard that needs more than it has kept free.
bool ClientShard::move_to(std::size_t pages, std::size_t reserve, const HashSecret& secret) {
    auto old = Pages::map(pages, reserve);
    if (old.size() == 0) return false;
    old.swap(places_);
    for (const ClientEntry& entry : old) {
        if (!entry.used()) continue;
        const std::uint64_t hash = entry.hash(secret);
        put(free_place(home(hash)), entry, tag_of(hash));
    }
    return true;
}

// A place without a tag is free, or holds an entry that was not moved yet: that gives way and is placed next.
// From the last place down: as homes have moved up, few entries are in the way then.
void ClientShard::spread(const HashSecret& secret) {
    for (std::size_t at = places_.size(); at-- > 0;) {
        if (places_.tag(at) != 0 || !places_[at].used()) continue;
        for (ClientEntry carried = std::exchange(places_[at], {}); carried.used();) {
            const std::uint64_t hash = carried.hash(secret);
            const std::size_t to = free_place(home(hash));
            places_.set_tag(to, tag_of(hash));
            std::swap(carried, places_[to]);
        }
    }
}

}  // namespace sluice::limit
