#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runtime/gdb_tables.h"
#include "runtime/spin_lock.h"
#include "runtime/task.h"

namespace sluice::runtime {

inline constexpr unsigned kStackClasses = 3;

// How the lowest page of a stack is kept from being touched.
enum class Guard : std::uint8_t {
    install,   // MADV_GUARD_INSTALL (Linux 6.13): costs no mapping
    mprotect,  // two mappings each, so only for as many stacks as vm.max_map_count lets us
};

// StackPool: the stacks of a scheduler, each with its Task block at the top. Thread-safe; workers keep hot
// ones of their own and come here for dozens at a time.
//
// Stacks are carved from slabs of 64 MiB of virtual memory that is reserved but not committed, and faulted in
// by touch. Slabs stay until the pool goes, so a stale Task* reads a live Task. The tops of neighbours are
// shifted by multiples of 128 bytes against each other: equal offsets would make the hot frames of all tasks
// compete for the same sets of the cache.
class StackPool {
  public:
    // `usual`: bytes of a stack of the class of that name, rounded up to a page; at least 16 KiB.
    explicit StackPool(std::size_t usual, Guard guard = Guard::install);
    ~StackPool();  // REQUIRES: no task is left
    StackPool(const StackPool&) = delete;
    StackPool& operator=(const StackPool&) = delete;

    // take() returns between 1 and `count` stacks, used ones first. Throws std::bad_alloc when there are none
    // and the system gives no more.
    TaskList take(unsigned stack_class, std::size_t count);
    void give(unsigned stack_class, TaskList&& stacks);

    // each_task() calls visit(Task&) for every Task block ever made, in use or not.
    template <class Visit>
    void each_task(Visit&& visit) {
        std::lock_guard lock(slabs_mutex_);
        for (const auto& slab : slabs_) {
            const std::size_t carved = slab->carved.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < carved; ++i) visit(*slab->task(i));
        }
    }

    // trim() gives the deep ends of stacks back to the system that nobody needs: of tasks parked since
    // `parked_before`, all below their frames; of free stacks, all but the top. True: there were deep stacks
    // that had to be left, whose tasks run or parked later. One thread at a time. Costs a look at the page
    // table (about 0.2 µs a stack), and for each stack that was deep a system call.
    bool trim(Time parked_before);
    std::uint64_t trimmed() const { return trimmed_.load(std::memory_order_relaxed); }

    std::size_t bytes_of(unsigned stack_class) const { return bytes_[stack_class]; }
    std::size_t reserved() const { return reserved_.load(std::memory_order_relaxed); }

    // The pool and the bounds of the stack slot that `address` lies in; for telling an overflow from another
    // fault.
    bool in_guard(const Task& task, const void* address) const;

    static constexpr std::size_t kColours = 16;
    static constexpr std::size_t kColourStep = 128;

  private:
    static constexpr std::size_t kSlabBytes = std::size_t{64} << 20;
    static constexpr std::size_t kPage = 4096;

    struct Slab {
        char* const base;
        const std::size_t slot_bytes;
        const std::size_t slots;
        std::atomic<std::size_t> carved{0};
        GdbSlab shown{base, slot_bytes, &carved};

        Slab(char* at, std::size_t bytes, std::size_t count) : base(at), slot_bytes(bytes), slots(count) {
            show_to_gdb(shown);
        }
        ~Slab() { hide_from_gdb(shown); }

        Task* task(std::size_t index) const;
    };

    // The tasks whose stacks have memory below the top.
    std::vector<Task*> find_deep(const Slab& slab) const;
    bool trim_slab(const Slab& slab, Time parked_before);
    bool trim_some(std::span<Task* const> tasks, Time parked_before);
    bool trim_one(Task& task, Time parked_before);

    Slab& new_slab(unsigned stack_class);
    Task* carve(unsigned stack_class, Slab& slab);
    void guard(char* page);

    // Fixed.
    std::array<std::size_t, kStackClasses> bytes_;

    std::atomic<Guard> guard_;
    std::atomic<std::size_t> reserved_{0};
    std::atomic<std::size_t> mprotected_{0};
    std::atomic<std::uint64_t> trimmed_{0};

    std::array<SpinLock, kStackClasses> locks_;
    std::array<TaskList, kStackClasses> free_;  // guarded by locks_

    std::mutex slabs_mutex_;
    std::vector<std::unique_ptr<Slab>> slabs_;  // guarded by slabs_mutex_
    std::array<Slab*, kStackClasses> open_{};   // the one being carved; guarded by slabs_mutex_
};

}  // namespace sluice::runtime
