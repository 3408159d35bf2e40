#include "service/limit/client_shard.h"

#include <algorithm>
#include <mutex>

namespace sluice::limit {

namespace {

constexpr std::size_t kFirstPlaces = 8;
constexpr std::size_t kReach = 128;

}  // namespace

// By an eighth: from 8/9 full to 64/81. Shards begin with different numbers of places, so that at any time
// some have just grown and others are about to, and a client costs 48 bytes on the mean.
ClientEntry& ClientShard::insert(std::uint64_t hash, const ClientEntry& entry, const HashSecret& secret) {
    if (size_ + 1 > places_.size() * 8 / 9)
        resize(places_.empty() ? kFirstPlaces + hash % kFirstPlaces : places_.size() * 9 / 8 + 1, secret);
    std::size_t at = home(hash);
    while (places_[at].used()) at = after(at);
    ++size_;
    return places_[at] = entry;
}

// Knuth, 6.4 R: an entry behind the gap moves into it unless its home is between them.
void ClientShard::remove(ClientEntry* entry, const HashSecret& secret) {
    --size_;
    auto gap = static_cast<std::size_t>(entry - places_.data());
    for (std::size_t at = after(gap); places_[at].used(); at = after(at)) {
        const std::size_t to = home(places_[at].hash(secret));
        const bool between = gap <= at ? gap < to && to <= at : gap < to || to <= at;
        if (between) continue;
        places_[gap] = places_[at];
        gap = at;
    }
    places_[gap] = ClientEntry{};
}

ClientEntry* ClientShard::find_evictable(Nanos now) {
    ClientEntry* found = nullptr;
    if (hand_ >= places_.size()) hand_ = 0;
    for (std::size_t left = std::min(kReach, places_.size()); left > 0; --left) {
        ClientEntry& entry = places_[hand_];
        hand_ = static_cast<std::uint32_t>(after(hand_));
        if (!entry.used() || Bucket::owes(entry.state(), now)) continue;
        if (!found || unseen(entry.last_seen, now) > unseen(found->last_seen, now)) found = &entry;
    }
    return found;
}

std::size_t ClientShard::shrink(const HashSecret& secret) {
    const std::size_t before = places_.size();
    const std::size_t enough = std::max(2 * kFirstPlaces, size_ * std::size_t{5} / 4);
    if (before < 2 * enough) return 0;
    resize(enough, secret);
    return before - enough;
}

void ClientShard::copy_to(std::vector<ClientEntry>& copy) const {
    const std::scoped_lock hold(lock);
    copy = places_;
}

void ClientShard::resize(std::size_t places, const HashSecret& secret) {
    std::vector<ClientEntry> old(places);
    old.swap(places_);
    for (const ClientEntry& entry : old) {
        if (!entry.used()) continue;
        std::size_t at = home(entry.hash(secret));
        while (places_[at].used()) at = after(at);
        places_[at] = entry;
    }
}

}  // namespace sluice::limit
