#pragma once

// What new clients are charged under while the table is full of clients that owe: one bucket for each limit
// and each block of addresses (ClientKey::block). Exact for the /16 of IPv4; the /32 of IPv6 are hashed onto
// 65,536 buckets, and all digests share one. Made in pages as they are used and kept: at most 3 MiB for a
// limit.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "runtime/spin_lock.h"
#include "service/limit/client_key.h"
#include "service/limit/state.h"

namespace sluice::limit {

struct SharedBucket {
    mutable runtime::SpinLock lock;
    // Guarded by lock.
    Epoch epoch = 0;  // of the state; 0: nobody was charged yet
    State state;
};
static_assert(sizeof(SharedBucket) == 24, "3 MiB for a limit");

/// Any thread may call any function at any time.
class SharedBuckets {
  public:
    static constexpr std::size_t kLimits = 256;

    SharedBuckets() = default;
    ~SharedBuckets();
    SharedBuckets(const SharedBuckets&) = delete;

    /// The bucket of a block under a limit; stays where it is. `hash` is the block's, keyed.
    SharedBucket& of(const ClientKey& block, std::uint8_t limit, std::uint64_t hash);
    /// Whether anybody was charged under that limit yet.
    bool any(std::uint8_t limit) const { return limits_[limit].load(std::memory_order_acquire) != nullptr; }
    /// nullptr: nobody was charged there yet.
    const SharedBucket* find(const ClientKey& block, std::uint8_t limit, std::uint64_t hash) const;

    /// The pages of a limit, by number; nullptr: nobody was charged there yet.
    static constexpr std::size_t kPages = 512;
    using Page = std::array<SharedBucket, 256>;
    Page* page(std::uint8_t limit, std::size_t number);

    /// As if nobody had been charged under that limit. The pages stay.
    void forget(std::uint8_t limit);

    std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  private:
    using Directory = std::array<std::atomic<Page*>, kPages>;  // half of it for IPv4

    static std::size_t place(const ClientKey& block, std::uint64_t hash);
    template <class T>
    T& made(std::atomic<T*>& slot);

    std::array<std::atomic<Directory*>, kLimits> limits_{};
    std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace sluice::limit
