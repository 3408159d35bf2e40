#pragma once

// Memory that runs out: `operator new` of a whole test program, so to be included by one file of each; the
// others say when it does by allocations_left.h.
// Both forms of it, or a sanitizer's own would hand out what the `operator delete` of here may not take.
// ThreadSanitizer's cannot be replaced: there, a test that needs this is skipped.

#include <cstddef>
#include <cstdlib>
#include <new>

#include "runtime/sanitizer.h"
#include "tests/allocations_left.h"

namespace sluice::test {

inline void* allocate(std::size_t size) noexcept {
    if (allocations_left > 0 && --allocations_left == 0) {
        if (none_after) allocations_left = 1;
        ++allocations_refused;
        return nullptr;
    }
    return std::malloc(size == 0 ? 1 : size);
}

}  // namespace sluice::test

#if !SLUICE_TSAN
[[gnu::noinline]] void* operator new(std::size_t size) {
    if (void* const memory = sluice::test::allocate(size)) return memory;
    throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return sluice::test::allocate(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
#endif
