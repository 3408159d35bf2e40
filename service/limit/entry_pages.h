#pragma once

// Memory for the entries of one shard: addresses for as many pages as it will need, and of these the ones in
// use straight from the kernel, zeroed. A shard grows where it is: to hand pages back and touch others in
// their stead costs more than all else about a new client. A heap would keep the outgrown sizes, which fit
// nobody else, and a million clients cost 57 bytes each.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <sys/mman.h>

namespace sluice::limit {

/// An array of T whose zero bytes are a value, and behind it a byte for each place: its tag, 0 where the
/// place is free. Tags are looked at eight at a time, from any place; behind the last come the first ones
/// again. Moves, does not copy.
template <class T>
class EntryPages {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    static constexpr std::size_t kPage = 4096;
    static constexpr std::size_t kGroup = 8;

    EntryPages() = default;
    EntryPages(EntryPages&& other) noexcept { swap(other); }
    EntryPages& operator=(EntryPages&& other) noexcept {
        swap(other);
        return *this;
    }
    ~EntryPages() {
        if (begin_) ::munmap(begin_, reserved_ * kPage);
    }

    /// Can grow to `reserve` pages. Empty when the kernel has no memory.
    static EntryPages map(std::size_t pages, std::size_t reserve) {
        EntryPages made;
        reserve = std::max(pages, reserve);
        void* memory = ::mmap(nullptr, reserve * kPage, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return made;
        // Large pages would take memory for what is kept free.
        ::madvise(memory, reserve * kPage, MADV_NOHUGEPAGE);
        made.begin_ = static_cast<T*>(memory);
        made.reserved_ = static_cast<std::uint32_t>(reserve);
        made.use(pages);
        return made;
    }

    /// More places, where the old ones are. Their values stay, and no place has a tag. REQUIRES: pages() <
    /// pages <= reserved().
    void grow(std::size_t pages) {
        std::memset(tags(), 0, size_ + kGroup);
        use(pages);
    }

    /// Fewer places. The first `kept` values stay, and no place has a tag. The pages behind them remain
    /// memory, zeroed, until give_back(). REQUIRES: pages < pages(), kept <= places(pages).
    void shrink(std::size_t pages, std::size_t kept) {
        char* const from = reinterpret_cast<char*>(begin_ + kept);
        std::memset(from, 0,
                    static_cast<std::size_t>(reinterpret_cast<char*>(tags()) + size_ + kGroup - from));
        size_ = static_cast<std::uint32_t>(places(pages));
    }

    /// Gives the kernel back pages that no place needs, the last first and `most` at most. Returns how many.
    std::size_t give_back(std::size_t most) {
        const std::size_t idle = std::min(most, resident_ - pages());
        if (idle == 0) return 0;
        resident_ -= static_cast<std::uint32_t>(idle);
        ::madvise(reinterpret_cast<char*>(begin_) + resident_ * kPage, idle * kPage, MADV_DONTNEED);
        return idle;
    }

    static constexpr std::size_t places(std::size_t pages) {
        return pages == 0 ? 0 : (pages * kPage - kGroup) / (sizeof(T) + 1);
    }

    std::size_t pages() const { return (size_ * (sizeof(T) + 1) + kPage - 1) / kPage; }
    std::size_t resident() const { return resident_; }
    std::size_t reserved() const { return reserved_; }
    std::size_t size() const { return size_; }
    T* begin() { return begin_; }
    T* end() { return begin_ + size_; }
    const T* begin() const { return begin_; }
    const T* end() const { return begin_ + size_; }
    T& operator[](std::size_t i) { return begin_[i]; }
    const T& operator[](std::size_t i) const { return begin_[i]; }

    std::uint8_t tag(std::size_t place) const { return tags()[place]; }
    void set_tag(std::size_t place, std::uint8_t tag) {
        tags()[place] = tag;
        if (place < kGroup) tags()[size_ + place] = tag;
    }
    /// The tags of eight places from this one on, the first in the lowest byte.
    std::uint64_t group(std::size_t place) const {
        std::uint64_t group;
        std::memcpy(&group, tags() + place, sizeof group);
        return std::endian::native == std::endian::little ? group : __builtin_bswap64(group);
    }

    void swap(EntryPages& other) {
        std::swap(begin_, other.begin_);
        std::swap(size_, other.size_);
        std::swap(resident_, other.resident_);
        std::swap(reserved_, other.reserved_);
    }

  private:
    // Faulted in at once: one by one would cost four times as much. Kernels before 5.14 do it on touch.
    void use(std::size_t pages) {
        if (pages > resident_) {
            ::madvise(reinterpret_cast<char*>(begin_) + resident_ * kPage, (pages - resident_) * kPage,
                      MADV_POPULATE_WRITE);
            resident_ = static_cast<std::uint32_t>(pages);
        }
        size_ = static_cast<std::uint32_t>(places(pages));
    }
    std::uint8_t* tags() { return reinterpret_cast<std::uint8_t*>(begin_ + size_); }
    const std::uint8_t* tags() const { return reinterpret_cast<const std::uint8_t*>(begin_ + size_); }

    T* begin_ = nullptr;
    std::uint32_t size_ = 0;
    std::uint32_t resident_ = 0;  // pages
    std::uint32_t reserved_ = 0;  // pages
};

}  // namespace sluice::limit
