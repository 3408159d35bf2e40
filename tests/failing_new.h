#pragma once

// Memory that runs out: `operator new` of a whole test program, so to be included by one file of each.

#include <cstddef>
#include <cstdlib>
#include <new>

namespace sluice::test {

// The last of so many allocations of this thread from now on fails, and then none; 0: none.
inline thread_local int allocations_left = 0;

}  // namespace sluice::test

[[gnu::noinline]] void* operator new(std::size_t size) {
    int& left = sluice::test::allocations_left;
    if (left > 0 && --left == 0) throw std::bad_alloc();
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
