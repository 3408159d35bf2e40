#include "service/limit/shared_buckets.h"

#include <memory>
#include <mutex>

namespace sluice::limit {

SharedBuckets::~SharedBuckets() {
    for (auto& limit : limits_) {
        const std::unique_ptr<Directory> directory(limit.load());
        if (!directory) continue;
        for (auto& page : *directory) delete page.load();
    }
}

std::size_t SharedBuckets::place(const ClientKey& block, std::uint64_t hash) {
    const Address& bytes = block.bytes();
    if (block.is_address() && is_ipv4(bytes)) return std::size_t{bytes[12]} << 8 | bytes[13];
    return 0x10000 | (hash & 0xffff);
}

/// What `slot` points to, made if it is not there; of two threads that make it, one throws its own away.
template <class T>
T& SharedBuckets::made(std::atomic<T*>& slot) {
    T* there = slot.load(std::memory_order_acquire);
    if (there) return *there;
    auto fresh = std::make_unique<T>();
    if (!slot.compare_exchange_strong(there, fresh.get(), std::memory_order_acq_rel)) return *there;
    bytes_.fetch_add(sizeof(T), std::memory_order_relaxed);
    return *fresh.release();
}

SharedBucket& SharedBuckets::of(const ClientKey& block, std::uint8_t limit, std::uint64_t hash) {
    const std::size_t at = place(block, hash);
    return made(made(limits_[limit])[at >> 8])[at & 0xff];
}

const SharedBucket* SharedBuckets::find(const ClientKey& block, std::uint8_t limit,
                                        std::uint64_t hash) const {
    const std::size_t at = place(block, hash);
    const Directory* directory = limits_[limit].load(std::memory_order_acquire);
    if (!directory) return nullptr;
    const Page* page = (*directory)[at >> 8].load(std::memory_order_acquire);
    return page ? &(*page)[at & 0xff] : nullptr;
}

SharedBuckets::Page* SharedBuckets::page(std::uint8_t limit, std::size_t number) {
    Directory* directory = limits_[limit].load(std::memory_order_acquire);
    return directory ? (*directory)[number].load(std::memory_order_acquire) : nullptr;
}

void SharedBuckets::forget(std::uint8_t limit) {
    Directory* directory = limits_[limit].load(std::memory_order_acquire);
    if (!directory) return;
    for (auto& slot : *directory) {
        Page* page = slot.load(std::memory_order_acquire);
        if (!page) continue;
        for (SharedBucket& bucket : *page) {
            const std::scoped_lock hold(bucket.lock);
            bucket.state = {};
        }
    }
}

}  // namespace sluice::limit
