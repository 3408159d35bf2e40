#pragma once

#include <atomic>
#include <cstddef>

namespace sluice::runtime {

// What gdb_tasks.py reads: which slabs of stacks there are, and where in a Task its fields lie. Plain data
// under C names, so that a program without types in its debug information, a release, shows its tasks too,
// and a core file as well.
struct GdbSlab {
    const char* base;
    std::size_t slot_bytes;
    const std::atomic<std::size_t>* carved;
    GdbSlab* next = nullptr;
    GdbSlab* previous = nullptr;
};

// A slab is shown from show_to_gdb() to hide_from_gdb(). Any thread.
void show_to_gdb(GdbSlab& slab);
void hide_from_gdb(GdbSlab& slab);

}  // namespace sluice::runtime
