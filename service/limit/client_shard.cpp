#include "service/limit/client_shard.h"

#include <algorithm>
#include <mutex>

namespace sluice::limit {

namespace {

constexpr std::size_t kReach = 128;

}  // namespace

// By a tenth, in whole pages: from 8/9 full to 0.81 or so. Shards round differently, so that at any time some
// have just grown and others are about to, and a client costs 48 bytes on the mean.
ClientEntry* ClientShard::insert(std::uint64_t hash, const ClientEntry& entry, const HashSecret& secret) {
    if (size_ + 1 > places_.size() * 8 / 9) {
        const std::size_t pages = places_.pages();
        const std::size_t more = std::max<std::size_t>(1, (pages + hash % 10) / 10);
        if (!resize(pages + more, secret) && size_ + 1 >= places_.size()) return nullptr;
    }
    std::size_t at = home(hash);
    while (places_[at].used()) at = after(at);
    ++size_;
    places_[at] = entry;
    return &places_[at];
}

// Knuth, 6.4 R: an entry behind the gap moves into it unless its home is between them.
void ClientShard::remove(ClientEntry* entry, const HashSecret& secret) {
    --size_;
    auto gap = static_cast<std::size_t>(entry - places_.begin());
    for (std::size_t at = after(gap); places_[at].used(); at = after(at)) {
        const std::size_t to = home(places_[at].hash(secret));
        const bool between = gap <= at ? gap < to && to <= at : gap < to || to <= at;
        if (between) continue;
        places_[gap] = places_[at];
        gap = at;
    }
    places_[gap] = ClientEntry{};
}

ClientEntry* ClientShard::find_evictable(Nanos now, const Bans& bans) {
    ClientEntry* found = nullptr;
    if (hand_ >= places_.size()) hand_ = 0;
    std::size_t looked_at = 0;
    for (std::size_t left = places_.size(); left > 0 && looked_at < kReach; --left) {
        ClientEntry& entry = places_[hand_];
        hand_ = static_cast<std::uint32_t>(after(hand_));
        if (!entry.used()) continue;
        ++looked_at;
        if (owes(entry.state(), now)) continue;
        if (found && unseen(entry.last_seen, now) <= unseen(found->last_seen, now)) continue;
        if (bans.until(entry.key, entry.limit(), now) == 0) found = &entry;
    }
    return found;
}

void ClientShard::shrink(const HashSecret& secret) {
    const std::size_t enough = 1 + size_ * sizeof(ClientEntry) * 5 / 4 / places_.kPage;
    if (size_ == 0)
        places_ = {};
    else if (places_.pages() >= 2 * enough)
        resize(enough, secret);
}

void ClientShard::copy_to(std::vector<ClientEntry>& copy) const {
    const std::scoped_lock hold(lock);
    copy.assign(places_.begin(), places_.end());
}

bool ClientShard::resize(std::size_t pages, const HashSecret& secret) {
    auto old = EntryPages<ClientEntry>::map(pages);
    if (old.pages() == 0) return false;
    old.swap(places_);
    for (const ClientEntry& entry : old) {
        if (!entry.used()) continue;
        std::size_t at = home(entry.hash(secret));
        while (places_[at].used()) at = after(at);
        places_[at] = entry;
    }
    return true;
}

}  // namespace sluice::limit
