#include "runtime/gdb_tables.h"

#include <array>
#include <cstdint>
#include <mutex>
#include <utility>

#include "runtime/spin_lock.h"
#include "runtime/stack.h"

extern "C" {

sluice::runtime::GdbSlab* sluice_gdb_slabs = nullptr;

// In the order in which gdb_tasks.py names them.
extern const std::uint32_t sluice_gdb_layout[];
const std::uint32_t sluice_gdb_layout[] = {
    1,  // of this table
    sizeof(sluice::runtime::Task),
    sluice::runtime::StackPool::kColours,
    sluice::runtime::StackPool::kColourStep,
    offsetof(sluice::runtime::Task, id),
    offsetof(sluice::runtime::Task, state),
    offsetof(sluice::runtime::Task, reason),
    offsetof(sluice::runtime::Task, what),
    offsetof(sluice::runtime::Task, file),
    offsetof(sluice::runtime::Task, line),
    offsetof(sluice::runtime::Task, context.frame_pointer),
    offsetof(sluice::runtime::Task, context.resume),
};
}

namespace sluice::runtime {

namespace {

SpinLock lock_of_slabs;

constexpr std::size_t kReasons = static_cast<std::size_t>(WaitReason::asio) + 1;

template <std::size_t... kIndex>
constexpr std::array<const char*, kReasons + 1> names(std::index_sequence<kIndex...>) {
    return {name(static_cast<WaitReason>(kIndex)).data()..., nullptr};
}

}  // namespace

void show_to_gdb(GdbSlab& slab) {
    std::lock_guard lock(lock_of_slabs);
    slab.next = sluice_gdb_slabs;
    if (slab.next != nullptr) slab.next->previous = &slab;
    sluice_gdb_slabs = &slab;
}

void hide_from_gdb(GdbSlab& slab) {
    std::lock_guard lock(lock_of_slabs);
    (slab.previous == nullptr ? sluice_gdb_slabs : slab.previous->next) = slab.next;
    if (slab.next != nullptr) slab.next->previous = slab.previous;
}

}  // namespace sluice::runtime

// The names of wait reasons, by their numbers; a null pointer at the end.
extern "C" constinit const auto sluice_gdb_reasons =
    sluice::runtime::names(std::make_index_sequence<sluice::runtime::kReasons>());
