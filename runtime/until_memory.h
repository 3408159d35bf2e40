#pragma once

#include <chrono>
#include <new>

#include "runtime/this_task.h"

namespace sluice::runtime {

// until_memory() calls f(), and again a second later for as long as it ends in std::bad_alloc: for what must
// not be left half done, or end for good, because memory was short for a moment. Gives up, with the
// exception, when give_up(), and where the task cannot wait: it is cancelled, or its deadline has passed.
template <class F, class GiveUp = bool (*)()>
void until_memory(F f, GiveUp give_up = [] { return false; }) {
    for (;;) {
        try {
            return static_cast<void>(f());
        } catch (const std::bad_alloc&) {
            if (give_up() || this_task::cancelled() || this_task::deadline() <= now()) throw;
        }
        this_task::sleep_for(std::chrono::seconds(1));
    }
}

}  // namespace sluice::runtime
