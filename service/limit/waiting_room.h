#pragma once

// Requests that a limit holds until their turn (`action: delay`): for each client of a limit, a line in the
// order in which they came. The first of a line asks the table, and sleeps until the table can say yes; the
// others wait to be first. Nothing is reserved, so nothing is to be given back by who leaves the line: those
// behind move up.
//
// Each place is on the stack of the task that waits, so there are no more of them than connections. A line is
// an entry of a map, made with its first place and gone with its last.

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "runtime/semaphore.h"
#include "runtime/time.h"
#include "service/limit/client_table.h"

namespace sluice::limit {

/// Any thread may call any function; none parks. A lock is held for a few instructions, never across a park.
class WaitingRoom {
  public:
    WaitingRoom();
    WaitingRoom(const WaitingRoom&) = delete;

    class Place;

    /// Whether anybody waits there: who comes now stands behind. Costs a load while nobody waits anywhere
    /// near.
    bool anyone(const ClientKey& key, LimitId limit) const;
    /// What all who wait there cost together: what stands before who comes now. nullopt: nobody waits.
    std::optional<std::uint64_t> ahead(const ClientKey& key, LimitId limit) const;
    /// Something has come free other than by time: the first of the line looks again.
    void freed(const ClientKey& key, LimitId limit);

  private:
    struct Line {
        Place* first = nullptr;
        Place* last = nullptr;
        std::uint64_t cost = 0;  // of all places
    };
    struct Whose {
        ClientKey key;
        LimitId limit;
        std::uint64_t hash;
        bool operator==(const Whose& other) const { return key == other.key && limit == other.limit; }
    };
    struct Hash {
        std::size_t operator()(const Whose& whose) const { return whose.hash; }
    };
    struct alignas(64) Shard {
        mutable std::mutex lock;
        std::atomic<std::uint32_t> waiting{0};  // written under the lock
        std::unordered_map<Whose, Line, Hash> lines;
    };
    static constexpr std::size_t kShards = 64;

    Whose whose(const ClientKey& key, LimitId limit) const;
    Shard& shard_of(const Whose& whose) { return shards_[whose.hash >> 58]; }
    const Shard& shard_of(const Whose& whose) const { return shards_[whose.hash >> 58]; }

    const std::array<std::uint64_t, 2> secret_;  // no client can choose a shard, or make lines collide
    std::array<Shard, kShards> shards_;
};

/// A place in a line, from construction, at its end, until destruction. Of one task.
class WaitingRoom::Place {
  public:
    Place(WaitingRoom& room, const ClientKey& key, LimitId limit, std::uint64_t cost);
    ~Place();
    Place(const Place&) = delete;

    bool first() const;
    /// What those before it cost, all together.
    std::uint64_t ahead() const;
    /// Parks until it may have become first, freed() was called, or `until` has passed.
    void wait(runtime::Time until) { static_cast<void>(called_.try_acquire_until(until)); }

  private:
    friend class WaitingRoom;

    // Fixed.
    const Whose whose_;
    const std::uint64_t cost_;
    Shard& shard_;

    // Guarded by the shard's lock.
    Place* before_ = nullptr;
    Place* behind_ = nullptr;

    runtime::Semaphore called_{0};  // released under the shard's lock, so never while this is destroyed
};

}  // namespace sluice::limit
