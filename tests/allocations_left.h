#pragma once

namespace sluice::test {

// The last of so many allocations of this thread from now on fails, and then none; 0: none. Where
// failing_new.h is part of the program, and not under ThreadSanitizer.
inline thread_local int allocations_left = 0;

}  // namespace sluice::test
