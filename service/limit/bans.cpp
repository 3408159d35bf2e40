#include "service/limit/bans.h"

#include <algorithm>
#include <mutex>
#include <new>
#include <vector>

#include "runtime/spin_lock.h"
#include "service/limit/secret.h"
#include "service/limit/siphash.h"

namespace sluice::limit {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr unsigned kMappedBits = 96;

/// Counts one more, unless that is more than `max`.
bool reserve(std::atomic<std::uint64_t>& count, std::uint64_t max) {
    std::uint64_t n = count.load(kRelaxed);
    do {
        if (n >= max) return false;
    } while (!count.compare_exchange_weak(n, n + 1, kRelaxed));
    return true;
}

}  // namespace

BanKey BanKey::of_block(const Address& address, unsigned prefix) {
    const bool v4 = is_ipv4(address) && prefix >= kMappedBits;
    const Prefixes prefixes{.ipv4 = static_cast<std::uint8_t>(v4 ? prefix - kMappedBits : 32),
                            .ipv6 = static_cast<std::uint8_t>(prefix)};
    return {ClientKey::of_address(address, prefixes), kAnyLimit, static_cast<std::uint8_t>(prefix)};
}

/// Open addressing with linear probing, three quarters full at most.
class alignas(64) Bans::Part {
  public:
    mutable runtime::SpinLock lock;

    // The rest is called with the lock held.
    Ban* find(std::uint64_t hash, const BanKey& key) {
        if (size_ == 0) return nullptr;
        for (std::size_t at = home(hash); places_[at].until != 0; at = after(at))
            if (places_[at].key == key) return &places_[at];
        return nullptr;
    }
    void insert(const Bans& all, const Ban& ban) {
        if ((size_ + 1) * 4 > places_.size() * 3) resize(all, std::max<std::size_t>(8, places_.size() * 2));
        std::size_t at = home(all.hash(ban.key));
        while (places_[at].until != 0) at = after(at);
        places_[at] = ban;
        ++size_;
        next = std::min(next, ban.until);
    }
    /// What was behind it may move to its place.
    void remove(const Bans& all, Ban* ban) {
        auto gap = static_cast<std::size_t>(ban - places_.data());
        for (std::size_t at = after(gap); places_[at].until != 0; at = after(at)) {
            const std::size_t to = home(all.hash(places_[at].key));
            const bool between = gap <= at ? gap < to && to <= at : gap < to || to <= at;
            if (between) continue;
            places_[gap] = places_[at];
            gap = at;
        }
        places_[gap] = Ban{};
        --size_;
    }
    void shrink(const Bans& all) {
        if (size_ == 0)
            std::vector<Ban>().swap(places_);
        else if (size_ * 8 < places_.size())
            resize(all, places_.size() / 4);
    }
    const std::vector<Ban>& places() const { return places_; }
    std::size_t bytes() const { return places_.size() * sizeof(Ban); }

    Nanos next = kNever;  // none is over before

  private:
    std::size_t home(std::uint64_t hash) const { return (hash >> 8) & (places_.size() - 1); }
    std::size_t after(std::size_t place) const { return (place + 1) & (places_.size() - 1); }
    void resize(const Bans& all, std::size_t places) {
        std::vector<Ban> old(places);
        old.swap(places_);
        for (const Ban& ban : old) {
            if (ban.until == 0) continue;
            std::size_t at = home(all.hash(ban.key));
            while (places_[at].until != 0) at = after(at);
            places_[at] = ban;
        }
    }

    std::size_t size_ = 0;
    std::vector<Ban> places_;  // a power of two
};

Bans::Bans(std::uint64_t max, std::uint64_t seed)
    : secret_(random_secret(seed)),
      parts_(std::make_unique<Part[]>(kParts)),
      max_(max),
      bytes_(kParts * sizeof(Part)),
      strikes_(max) {}

Bans::~Bans() = default;

std::uint64_t Bans::hash(const BanKey& key) const {
    return siphash_1_3(secret_, key.key.high(), key.key.low(), std::uint64_t{key.prefix} << 8 | key.limit);
}

/// Refusals that are counted under a number of another limit before are nobody's.
std::uint64_t Bans::strikes_hash(const BanKey& key) const {
    const std::uint64_t use = uses_[key.limit].load(kRelaxed);
    return siphash_1_3(secret_, key.key.high(), key.key.low(), use << 8 | key.limit);
}

Bans::Part& Bans::part_of(std::uint64_t hash) const {
    return parts_[hash & (kParts - 1)];
}

std::optional<Ban> Bans::find(const BanKey& key, Nanos now) const {
    const std::uint64_t where = hash(key);
    Part& part = part_of(where);
    const std::scoped_lock hold(part.lock);
    const Ban* ban = part.find(where, key);
    return ban && ban->until > now ? std::optional(*ban) : std::nullopt;
}

Nanos Bans::until(const ClientKey& key, LimitId limit, Nanos now) const {
    if (by_limit_[limit].load(kRelaxed) == 0) return 0;
    const auto ban = find(BanKey::under(limit, key), now);
    return ban ? ban->until : 0;
}

Nanos Bans::until_by_operator(const ClientKey& key, LimitId limit, Nanos now) const {
    if (by_limit_[limit].load(kRelaxed) == 0) return 0;
    const auto ban = find(BanKey::under(limit, key), now);
    return ban && ban->by_operator ? ban->until : 0;
}

// One look for each length of prefix that is banned somewhere: hardly ever more than two.
Nanos Bans::until(const Address& address, Nanos now, unsigned bits) const {
    if (by_limit_[BanKey::kAnyLimit].load(kRelaxed) == 0) return 0;
    Nanos last = 0;
    for (unsigned prefix = is_ipv4(address) ? kMappedBits : 0; prefix <= bits; ++prefix) {
        if (by_prefix_[prefix].load(kRelaxed) == 0) continue;
        if (const auto ban = find(BanKey::of_block(address, prefix), now)) last = std::max(last, ban->until);
    }
    return last;
}

Bans::Strike Bans::strike(const ClientKey& key, LimitId limit, const BanRule& rule, Nanos now) {
    const BanKey banned = BanKey::under(limit, key);
    if (!strikes_.add(strikes_hash(banned), rule.strikes, now)) return Strike::counted;
    const Nanos until = now + rule.duration;
    return make({.key = banned, .since = now, .until = until}, now) ? Strike::banned : Strike::no_room;
}

bool Bans::put(const BanKey& key, Nanos now, Nanos until) {
    return make({.key = key, .since = now, .until = until, .by_operator = true}, now);
}

// A key is banned once: what an operator says holds from then on, and of two threads that find the same
// refusal to be the last, one bans.
bool Bans::make(const Ban& ban, Nanos now) {
    const std::uint64_t where = hash(ban.key);
    Part& part = part_of(where);
    const std::scoped_lock hold(part.lock);
    if (Ban* known = part.find(where, ban.key)) {
        if (known->until > now && !ban.by_operator) return true;
        (known->until > now ? lifted_ : expired_).fetch_add(1, kRelaxed);
        *known = ban;
        part.next = std::min(part.next, ban.until);
        made_.fetch_add(1, kRelaxed);
        return true;
    }
    if (!reserve(size_, max_.load(kRelaxed) + (ban.by_operator ? kByOperatorMax : 0))) {
        no_room_.fetch_add(1, kRelaxed);
        return false;
    }
    const std::size_t before = part.bytes();
    try {
        part.insert(*this, ban);
    } catch (const std::bad_alloc&) {
        size_.fetch_sub(1, kRelaxed);
        no_room_.fetch_add(1, kRelaxed);
        return false;
    }
    bytes_.fetch_add(part.bytes() - before, kRelaxed);
    by_limit_[ban.key.limit].fetch_add(1, kRelaxed);
    if (ban.key.limit == BanKey::kAnyLimit) by_prefix_[ban.key.prefix].fetch_add(1, kRelaxed);
    made_.fetch_add(1, kRelaxed);
    return true;
}

/// REQUIRES: the part's lock is held.
Ban Bans::remove(Part& part, Ban* ban) {
    const Ban removed = *ban;
    part.remove(*this, ban);
    by_limit_[removed.key.limit].fetch_sub(1, kRelaxed);
    if (removed.key.limit == BanKey::kAnyLimit) by_prefix_[removed.key.prefix].fetch_sub(1, kRelaxed);
    size_.fetch_sub(1, kRelaxed);
    return removed;
}

/// REQUIRES: the part's lock is held.
void Bans::remove(Part& part, const std::vector<Ban>& bans) {
    for (const Ban& ban : bans) remove(part, part.find(hash(ban.key), ban.key));
    const std::size_t before = part.bytes();
    part.shrink(*this);
    bytes_.fetch_sub(before - part.bytes(), kRelaxed);
}

bool Bans::lift(const BanKey& key, Nanos now) {
    return lift(key, now, true);
}

bool Bans::lift(const BanKey& key, Nanos now, bool also_by_operator) {
    const std::uint64_t where = hash(key);
    Part& part = part_of(where);
    const std::scoped_lock hold(part.lock);
    Ban* ban = part.find(where, key);
    if (!ban || (ban->by_operator && !also_by_operator)) return false;
    const bool active = remove(part, ban).until > now;
    (active ? lifted_ : expired_).fetch_add(1, kRelaxed);
    return active;
}

// As expire(): part by part, collected under its lock and told without it.
void Bans::lift_all(std::optional<LimitId> limit, Nanos now, const std::function<void(const Ban&)>& lifted) {
    std::vector<Ban> found;
    for (std::size_t i = 0; i < kParts && any(); ++i) {
        Part& part = parts_[i];
        found.clear();
        {
            const std::scoped_lock hold(part.lock);
            for (const Ban& ban : part.places()) {
                const bool began = ban.until > now && ban.since <= now;
                if (began && (!limit || ban.key.limit == *limit)) found.push_back(ban);
            }
            remove(part, found);
        }
        lifted_.fetch_add(found.size(), kRelaxed);
        for (const Ban& ban : found) lifted(ban);
    }
}

bool Bans::forget(const ClientKey& key, LimitId limit, Nanos now) {
    const BanKey banned = BanKey::under(limit, key);
    strikes_.forget(strikes_hash(banned));
    return lift(banned, now, false);
}

void Bans::forget(LimitId limit) {
    uses_[limit].fetch_add(1, kRelaxed);
    std::vector<BanKey> keys;
    for (std::size_t i = 0; i < kParts && by_limit_[limit].load(kRelaxed) != 0; ++i) {
        Part& part = parts_[i];
        const std::scoped_lock hold(part.lock);
        keys.clear();
        for (const Ban& ban : part.places())
            if (ban.until != 0 && ban.key.limit == limit) keys.push_back(ban.key);
        for (const BanKey& key : keys) remove(part, part.find(hash(key), key));
        lifted_.fetch_add(keys.size(), kRelaxed);
    }
}

// Collected under the lock and told without it.
void Bans::expire(std::size_t at, Nanos now, const std::function<void(const Ban&)>& expired) {
    Part& part = parts_[at];
    std::vector<Ban> over;
    {
        const std::scoped_lock hold(part.lock);
        if (part.next > now) return;
        part.next = kNever;
        for (const Ban& ban : part.places()) {
            if (ban.until == 0) continue;
            if (ban.until <= now)
                over.push_back(ban);
            else
                part.next = std::min(part.next, ban.until);
        }
        remove(part, over);
    }
    expired_.fetch_add(over.size(), kRelaxed);
    for (const Ban& ban : over) expired(ban);
}

void Bans::each(Nanos now, const std::function<void(const Ban&)>& visit) const {
    std::vector<Ban> copy;
    for (std::size_t i = 0; i < kParts && any(); ++i) {
        {
            const std::scoped_lock hold(parts_[i].lock);
            copy = parts_[i].places();
        }
        for (const Ban& ban : copy)
            if (ban.until > now) visit(ban);
    }
}

BanStats Bans::stats() const {
    return {size_.load(kRelaxed),    made_.load(kRelaxed),    lifted_.load(kRelaxed),
            expired_.load(kRelaxed), no_room_.load(kRelaxed), bytes_.load(kRelaxed) + strikes_.bytes()};
}

void Bans::set_max(std::uint64_t max) {
    max_.store(max, kRelaxed);
    strikes_.set_keys(max);
}

}  // namespace sluice::limit
