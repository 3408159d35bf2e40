#pragma once

#include <new>

namespace sluice::test {

// The last of so many allocations of this thread from now on fails, and then none, or all if none_after is
// true; 0: none. Where failing_new.h is part of the program, and not under ThreadSanitizer.
inline thread_local int allocations_left = 0;
inline thread_local bool none_after = false;
inline thread_local int allocations_refused = 0;

/// How often work() had too little memory, until there was enough: of its allocations each in turn fails
/// alone, and then with all that come after it, such as those of what is undone.
int failures_of(auto&& work) {
    const auto run_out = [&](int n, bool for_good) {
        allocations_refused = 0;
        allocations_left = n;
        none_after = for_good;
        try {
            work();
        } catch (const std::bad_alloc&) {
        }
        allocations_left = 0;
        none_after = false;
        return allocations_refused > 0;
    };
    int n = 1;
    while (run_out(n, false) && run_out(n, true)) ++n;
    return n - 1;
}

}  // namespace sluice::test
