#pragma once

#include <array>
#include <cstddef>
#include <new>
#include <type_traits>

namespace sluice::limit {

/// At most N plain values, in place. What is not used is not touched: making one costs nothing.
template <class T, std::size_t N>
class ShortList {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    ShortList() {}
    ShortList(const ShortList& other) { copy(other); }
    ShortList& operator=(const ShortList& other) {
        if (this != &other) copy(other);
        return *this;
    }

    /// REQUIRES: size() < N.
    T& add(const T& value) { return *::new (room_.data() + size_++ * sizeof(T)) T(value); }

    std::size_t size() const { return size_; }
    T* begin() { return reinterpret_cast<T*>(room_.data()); }
    T* end() { return begin() + size_; }
    const T* begin() const { return reinterpret_cast<const T*>(room_.data()); }
    const T* end() const { return begin() + size_; }
    T& operator[](std::size_t i) { return begin()[i]; }
    const T& operator[](std::size_t i) const { return begin()[i]; }

  private:
    void copy(const ShortList& other) {
        size_ = 0;
        for (const T& value : other) add(value);
    }

    std::size_t size_ = 0;
    alignas(T) std::array<std::byte, N * sizeof(T)> room_;
};

}  // namespace sluice::limit
