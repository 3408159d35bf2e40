#pragma once

// Who is shut out, and until when: keys under a limit that refused them too often, and what an operator shuts
// out, keys or blocks of addresses.
//
// Bounded: at `max` bans no refusal makes another, and at kByOperatorMax more no operator does; 64 to 128
// bytes each. Who would have been banned then stays limited, which is counted as `no_room`; no ban is lifted
// for another. Ends are on the steady clock.
//
// Any thread may call any function at any time; none allocates but when a part of the table grows or shrinks,
// each() and lift_all().

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "service/limit/client_key.h"
#include "service/limit/gcra.h"
#include "service/limit/strikes.h"

namespace sluice::limit {

/// What a ban shuts out.
struct BanKey {
    /// In place of a limit: the block of addresses that `key` and `prefix` tell, whatever they ask for.
    static constexpr LimitId kAnyLimit = 255;

    static BanKey under(LimitId limit, const ClientKey& key) { return {key.shown(), limit, 0}; }
    /// `prefix` counts from the first of 128 bits, for IPv4 too: 192.0.2.0/24 has 120.
    static BanKey of_block(const Address& address, unsigned prefix);

    ClientKey key;
    LimitId limit = kAnyLimit;
    std::uint8_t prefix = 0;  // with kAnyLimit

    bool operator==(const BanKey&) const = default;
};

struct Ban {
    BanKey key;
    Nanos since = 0;
    Nanos until = 0;  // 0 in places of the table that are free
    bool by_operator = false;
};

/// When a limit bans.
struct BanRule {
    StrikeRule strikes;
    Nanos duration;
};

struct BanStats {
    std::uint64_t active = 0;  // or over, and not removed yet
    std::uint64_t made = 0;
    std::uint64_t lifted = 0;  // by an operator, or forgotten with their limit
    std::uint64_t expired = 0;
    std::uint64_t no_room = 0;  // not made, for there were `max`
    std::uint64_t bytes = 0;
};

class Bans {
  public:
    static constexpr std::uint64_t kByOperatorMax = 100'000;

    explicit Bans(std::uint64_t max, std::uint64_t seed = 0 /* 0: random */);
    ~Bans();
    Bans(const Bans&) = delete;

    /// False while nobody is banned: all that a request pays for then.
    bool any() const { return size_.load(std::memory_order_relaxed) != 0; }

    /// When the key's ban under this limit ends; 0: it has none.
    Nanos until(const ClientKey& key, LimitId limit, Nanos now) const;
    /// The same of bans that an operator made.
    Nanos until_by_operator(const ClientKey& key, LimitId limit, Nanos now) const;
    /// When the last ban ends of a block that holds all of the address's first `bits`; 0: there is none.
    Nanos until(const Address& address, Nanos now, unsigned bits = 128) const;

    std::optional<Ban> find(const BanKey& key, Nanos now) const;

    /// A refusal of that key under a limit that bans.
    enum class Strike : std::uint8_t { counted, banned, no_room };
    Strike strike(const ClientKey& key, LimitId limit, const BanRule& rule, Nanos now);

    /// An operator's: shuts out until `until`, in place of a ban that the key has. False: there is no room.
    bool put(const BanKey& key, Nanos now, Nanos until);
    /// False: it was not banned.
    bool lift(const BanKey& key, Nanos now);
    /// Lifts what began by `now`, of one limit or of all, blocks included, and tells it; no lock is held
    /// meanwhile.
    void lift_all(std::optional<LimitId> limit, Nanos now, const std::function<void(const Ban&)>& lifted);
    /// As if the key had never been refused under that limit. True: that lifted a ban; an operator's stays.
    bool forget(const ClientKey& key, LimitId limit, Nanos now);
    /// As if nobody had ever been refused under that limit: its number shall be another's. REQUIRES: nobody
    /// uses the limit meanwhile.
    void forget(LimitId limit);

    /// Removes what is over in one part of the table, and tells it.
    static constexpr std::size_t kParts = 256;
    void expire(std::size_t part, Nanos now, const std::function<void(const Ban&)>& expired);

    /// Calls visit(ban) for each, in a copy of each part of the table: no lock is held meanwhile.
    void each(Nanos now, const std::function<void(const Ban&)>& visit) const;

    BanStats stats() const;
    /// A reload. What is banned stays so.
    void set_max(std::uint64_t max);

  private:
    class Part;

    std::uint64_t hash(const BanKey& key) const;
    std::uint64_t strikes_hash(const BanKey& key) const;
    Part& part_of(std::uint64_t hash) const;
    bool make(const Ban& ban, Nanos now);
    bool lift(const BanKey& key, Nanos now, bool also_by_operator);
    Ban remove(Part& part, Ban* ban);
    void remove(Part& part, const std::vector<Ban>& bans);

    // Fixed.
    const std::array<std::uint64_t, 2> secret_;
    const std::unique_ptr<Part[]> parts_;

    alignas(64) std::atomic<std::uint64_t> size_{0};  // a line that only bans write to

    alignas(64) std::atomic<std::uint64_t> max_;
    std::atomic<std::uint64_t> made_{0}, lifted_{0}, expired_{0}, no_room_{0}, bytes_;
    std::array<std::atomic<std::uint32_t>, 256> by_limit_{};
    std::array<std::atomic<std::uint32_t>, 129> by_prefix_{};
    std::array<std::atomic<std::uint32_t>, 256> uses_{};  // of a limit's number: which limit it is by now
    Strikes strikes_;
};

}  // namespace sluice::limit
