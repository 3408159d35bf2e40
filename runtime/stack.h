#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
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

// HotStacks: free stacks of one class that a worker keeps, the last used first. Addresses only: who hands
// stacks on touches none of them, for what lies there is in the cache of the processor that used it last.
class HotStacks {
  public:
    static constexpr std::size_t kMost = 64;

    bool empty() const { return size_ == 0; }
    bool full() const { return size_ == kMost; }
    Task* pop() { return stacks_[--size_]; }            // REQUIRES: not empty()
    void push(Task* task) { stacks_[size_++] = task; }  // REQUIRES: not full()
    // fill() puts what fetch(span) wrote, and tells by its result, where there was nothing.
    void fill(auto&& fetch) { size_ = fetch(std::span(stacks_).first(kMost / 2)); }
    // spill() hands the half that was not used for longest to sink(span).
    void spill(auto&& sink) {
        sink(std::span<Task* const>(stacks_).first(kMost / 2));
        std::copy(stacks_.begin() + kMost / 2, stacks_.end(), stacks_.begin());
        size_ -= kMost / 2;
    }

  private:
    std::array<Task*, kMost> stacks_;
    std::size_t size_ = 0;
};

// StackPool: the stacks of a scheduler, each with its Task block at the top. Thread-safe; workers keep hot
// ones of their own and come here for a bag of 32.
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

    static constexpr std::size_t kBag = HotStacks::kMost / 2;

    // take() writes between 1 and `into.size()` stacks and returns how many: a bag that somebody gave, else
    // single ones, else new ones. Throws std::bad_alloc when there are none and the system gives no more.
    // REQUIRES: `into` has room for one or for a bag.
    std::size_t take(unsigned stack_class, std::span<Task*> into);
    // give() takes back one stack, or a bag of them.
    void give(unsigned stack_class, std::span<Task* const> stacks) noexcept;

    // each_task() calls visit(Task&) for every Task block ever made, in use or not.
    template <class Visit>
    void each_task(Visit&& visit) {
        std::lock_guard lock(slabs_mutex_);
        for (const auto& slab : slabs_) {
            const std::size_t carved = slab->carved.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < carved; ++i) visit(*slab->task(i));
        }
    }

    // trim() gives the deep ends of stacks back to the system that nobody needs: of tasks parked before
    // `idle`, all below their frames; of stacks that are free since before `idle`, all but the top. Stacks
    // in constant use would be faulted in again at once, so each of these is trimmed only once in kTurns
    // calls: it may have been deep a single time. And the kWarm stacks that became free last stay as they
    // are for kWarmFor if they have few pages: a burst after a pause is served in memory that is there. True:
    // there were deep stacks that had to be left. One thread at a time. Costs a look at the page table (about
    // 0.2 µs a stack), and for each stack that is trimmed a system call; calls between() every 16 of these,
    // and every 64 MiB of stacks that were looked at.
    bool trim(Time idle, const std::function<void()>& between = [] {});
    static constexpr std::size_t kTurns = 64;
    static constexpr std::size_t kWarm = 64;
    static constexpr std::size_t kWarmPages = 24;
    static constexpr Duration kWarmFor = std::chrono::minutes(1);
    std::uint64_t trimmed() const { return trimmed_.load(std::memory_order_relaxed); }

    std::size_t bytes_of(unsigned stack_class) const { return bytes_[stack_class]; }
    std::size_t reserved() const { return reserved_.load(std::memory_order_relaxed); }

    // in_guard() is whether `address` lies in the guard page below the task's stack: then the stack has
    // overflowed, and it is no other fault. For signal handlers: takes no lock.
    bool in_guard(const Task& task, const void* address) const;

    static constexpr std::size_t kColours = 16;
    static constexpr std::size_t kColourStep = 128;

  private:
    static constexpr std::size_t kSlabBytes = std::size_t{64} << 20;
    static constexpr std::size_t kPage = 4096;
    static constexpr std::size_t kCarvedAtOnce = 16;

    struct Bag {
        std::array<Task*, kBag> stacks;
        Bag* next = nullptr;
    };

    // The memory of some stacks. Throws std::bad_alloc, and keeps nothing, where the system gives none.
    struct Slab {
        const std::size_t slot_bytes;
        const std::size_t slots;
        const std::unique_ptr<Bag[]> bags;  // as many as its stacks can fill
        char* const base;                   // the last that may fail
        std::atomic<std::size_t> carved{0};
        GdbSlab shown{base, slot_bytes, &carved};

        Slab(std::size_t bytes, std::size_t count);
        ~Slab();

        Task* task(std::size_t index) const;
        std::size_t bag_count() const { return slots / kBag + 1; }
    };

    // Free stacks of one class.
    struct alignas(64) Free {
        SpinLock lock;
        Bag* full = nullptr;    // guarded by lock, as all below
        Bag* unused = nullptr;  // empty
        TaskList single;
    };
    static std::size_t take_free(Free& free, std::span<Task*> into);

    struct Deep {
        Task* task;
        std::size_t pages;  // in memory
        bool in_turn;
    };

    // Those of the slab's stacks that have memory below the top.
    void find_deep(const Slab& slab, std::vector<Deep>& deep) const;
    bool trim_one(const Deep& deep, Time idle, Time warm);

    Slab& new_slab(unsigned stack_class);
    void carve(unsigned stack_class, Slab& slab, std::span<Task*> into);
    void prepare(const Slab& slab, std::size_t first, std::size_t count);
    void guard(char* page);

    // Fixed.
    std::array<std::size_t, kStackClasses> bytes_;
    const int self_;  // this process, for process_madvise(); or -1

    std::atomic<Guard> guard_;
    std::atomic<std::size_t> reserved_{0};
    std::atomic<std::size_t> mprotected_{0};
    std::atomic<std::uint64_t> trimmed_{0};
    std::size_t trims_ = 0;  // calls of trim()

    std::array<Free, kStackClasses> free_;

    std::mutex slabs_mutex_;
    std::vector<std::unique_ptr<Slab>> slabs_;  // guarded by slabs_mutex_
    std::array<Slab*, kStackClasses> open_{};   // the one being carved; guarded by slabs_mutex_
};

}  // namespace sluice::runtime
