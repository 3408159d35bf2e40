#include "service/limit/waiting_room.h"

#include "service/limit/secret.h"
#include "service/limit/siphash.h"

namespace sluice::limit {

WaitingRoom::WaitingRoom() : secret_(random_secret()) {}

WaitingRoom::Whose WaitingRoom::whose(const ClientKey& key, LimitId limit) const {
    return {key, limit, siphash_1_3(secret_, key.high(), key.low(), limit)};
}

// No place is missed that matters. Who waits enters the line and then asks the table once more; who gives a
// slot back does that first and then looks here. Both go through the lock of the client's shard of the table:
// whichever comes second there sees what the other had done before.
bool WaitingRoom::anyone(const ClientKey& key, LimitId limit) const {
    const Whose one = whose(key, limit);
    const Shard& shard = shard_of(one);
    if (shard.waiting.load(std::memory_order_acquire) == 0) return false;
    const std::scoped_lock hold(shard.lock);
    return shard.lines.contains(one);
}

std::optional<std::uint64_t> WaitingRoom::ahead(const ClientKey& key, LimitId limit) const {
    const Whose one = whose(key, limit);
    const Shard& shard = shard_of(one);
    if (shard.waiting.load(std::memory_order_acquire) == 0) return std::nullopt;
    const std::scoped_lock hold(shard.lock);
    const auto line = shard.lines.find(one);
    return line == shard.lines.end() ? std::nullopt : std::optional(line->second.cost);
}

void WaitingRoom::freed(const ClientKey& key, LimitId limit) {
    const Whose one = whose(key, limit);
    Shard& shard = shard_of(one);
    if (shard.waiting.load(std::memory_order_acquire) == 0) return;
    const std::scoped_lock hold(shard.lock);
    const auto line = shard.lines.find(one);
    if (line != shard.lines.end()) line->second.first->called_.release();
}

WaitingRoom::Place::Place(WaitingRoom& room, const ClientKey& key, LimitId limit, std::uint64_t cost)
    : whose_(room.whose(key, limit)), cost_(cost), shard_(room.shard_of(whose_)) {
    const std::scoped_lock hold(shard_.lock);
    Line& line = shard_.lines[whose_];
    before_ = line.last;
    (before_ ? before_->behind_ : line.first) = this;
    line.last = this;
    line.cost += cost_;
    shard_.waiting.fetch_add(1, std::memory_order_release);
}

WaitingRoom::Place::~Place() {
    const std::scoped_lock hold(shard_.lock);
    const auto at = shard_.lines.find(whose_);
    Line& line = at->second;
    (before_ ? before_->behind_ : line.first) = behind_;
    (behind_ ? behind_->before_ : line.last) = before_;
    line.cost -= cost_;
    shard_.waiting.fetch_sub(1, std::memory_order_release);
    if (!line.first)
        shard_.lines.erase(at);
    else if (!before_)
        line.first->called_.release();
}

bool WaitingRoom::Place::first() const {
    const std::scoped_lock hold(shard_.lock);
    return before_ == nullptr;
}

std::uint64_t WaitingRoom::Place::ahead() const {
    const std::scoped_lock hold(shard_.lock);
    if (!behind_) return shard_.lines.find(whose_)->second.cost - cost_;  // it has just come: no need to walk
    std::uint64_t cost = 0;
    for (const Place* at = before_; at; at = at->before_) cost += at->cost_;
    return cost;
}

}  // namespace sluice::limit
