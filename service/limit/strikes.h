#pragma once

// How often keys were refused lately: what a ban follows from. A table of its own, for only keys that are
// refused under a limit that bans need it, and bounded: sets of four records of 64 bytes, at most one record
// for each client that may be remembered, in memory that is mapped when the first refusal is counted and
// touched as it is used.
//
// A record holds the times of ten refusals. Where `after` is ten or less it is exact; above, each time stands
// for a tenth of them: nobody is banned sooner than the rule says, and at the latest with a tenth more.
//
// A flood of keys may push out the record of another, which then has to be refused as often again to be
// banned; of four, the one that is over goes first, then the one with the fewest refusals. Nobody has more
// for that: every refusal stays one.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/spin_lock.h"
#include "service/limit/state.h"

namespace sluice::limit {

/// `after` refusals in less than `within`, made ready for counting.
class StrikeRule {
  public:
    /// REQUIRES: both are positive; after < 2^31.
    StrikeRule(std::uint32_t after, Nanos within);

    static constexpr std::uint32_t kMarks = 10;

  private:
    friend class Strikes;
    std::uint32_t after_;
    std::uint32_t group_;  // refusals that one mark stands for
    Nanos within_;
    Nanos unit_;           // of the times of marks …
    std::uint32_t span_;   // … and how many of them `within` is: below 2^28
    std::uint16_t scale_;  // tells rules apart whose marks mean something else
};

/// Any thread may call any function at any time.
class Strikes {
  public:
    /// Of so many keys at most.
    explicit Strikes(std::uint64_t keys) : keys_(keys) {}
    ~Strikes();
    Strikes(const Strikes&) = delete;

    /// One refusal more, of the key with this keyed hash. True: that is the last that the rule allows; the
    /// count begins anew. Never true when there is no memory.
    bool add(std::uint64_t hash, const StrikeRule& rule, Nanos now);
    void forget(std::uint64_t hash);

    std::uint64_t bytes() const;
    /// A reload. Holds if nothing was counted yet.
    void set_keys(std::uint64_t keys) { keys_.store(keys, std::memory_order_relaxed); }

  private:
    struct Record;
    struct Table;

    Table* table();

    static constexpr std::size_t kLocks = 64;
    struct alignas(64) Lock : runtime::SpinLock {};

    std::atomic<std::uint64_t> keys_;
    std::atomic<Table*> table_{nullptr};
    std::array<Lock, kLocks> locks_;  // each of the sets with that remainder
};

}  // namespace sluice::limit
