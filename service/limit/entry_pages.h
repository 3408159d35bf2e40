#pragma once

// Memory for the entries of one shard: whole pages straight from the kernel, zeroed, and back to it when a
// shard outgrows them. A heap would keep the outgrown ones: their sizes fit nobody else, and a million
// clients cost 57 bytes each.

#include <cstddef>
#include <type_traits>
#include <utility>

#include <sys/mman.h>

namespace sluice::limit {

/// An array of T whose zero bytes are a value. Moves, does not copy.
template <class T>
class EntryPages {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    static constexpr std::size_t kPage = 4096;

    EntryPages() = default;
    EntryPages(EntryPages&& other) noexcept { swap(other); }
    EntryPages& operator=(EntryPages&& other) noexcept {
        swap(other);
        return *this;
    }
    ~EntryPages() {
        if (begin_) ::munmap(begin_, pages_ * kPage);
    }

    /// Empty when the kernel has no memory.
    static EntryPages map(std::size_t pages) {
        EntryPages made;
        // Faulted in at once: one by one would cost four times as much.
        void* memory = ::mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED) return made;
        made.begin_ = static_cast<T*>(memory);
        made.pages_ = pages;
        return made;
    }

    std::size_t pages() const { return pages_; }
    std::size_t size() const { return pages_ * kPage / sizeof(T); }
    T* begin() { return begin_; }
    T* end() { return begin_ + size(); }
    const T* begin() const { return begin_; }
    const T* end() const { return begin_ + size(); }
    T& operator[](std::size_t i) { return begin_[i]; }
    const T& operator[](std::size_t i) const { return begin_[i]; }

    void swap(EntryPages& other) {
        std::swap(begin_, other.begin_);
        std::swap(pages_, other.pages_);
    }

  private:
    T* begin_ = nullptr;
    std::size_t pages_ = 0;
};

}  // namespace sluice::limit
