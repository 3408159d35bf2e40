#include "runtime/stack.h"

#include <algorithm>
#include <fstream>
#include <new>

#include <sys/mman.h>

#include "runtime/check.h"
#include "runtime/sanitizer.h"

namespace sluice::runtime {

namespace {

constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL, younger than our C library's headers

// Guards by mprotect split their mapping in two. A quarter of what the kernel allows is for us; the rest is
// for the program's own.
std::size_t mprotect_share() {
    static const std::size_t share = [] {
        std::size_t count = 65530;
        std::ifstream("/proc/sys/vm/max_map_count") >> count;
        return count / 8;
    }();
    return share;
}

std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

}  // namespace

Task* StackPool::Slab::task(std::size_t index) const {
    const std::size_t colour = index % kColours * kColourStep;
    char* const top = base + (index + 1) * slot_bytes - colour - sizeof(Task);
    return reinterpret_cast<Task*>(top);
}

StackPool::StackPool(std::size_t usual, Guard guard)
    : bytes_{std::size_t{64} << 10, round_up(std::max(usual, std::size_t{16} << 10), kPage),
             std::size_t{8} << 20},
      guard_(guard) {}

StackPool::~StackPool() {
    for (const auto& slab : slabs_) {
        const std::size_t carved = slab->carved.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i < carved; ++i) forget_context(slab->task(i)->context, true);
        ::munmap(slab->base, slab->slot_bytes * slab->slots);
    }
}

TaskList StackPool::take(unsigned stack_class, std::size_t count) {
    TaskList taken;
    {
        std::lock_guard lock(locks_[stack_class]);
        while (taken.size() < count) {
            Task* const task = free_[stack_class].pop();
            if (task == nullptr) break;
            taken.push(task);
        }
    }
    if (!taken.empty()) return taken;
    std::lock_guard lock(slabs_mutex_);
    Slab* slab = open_[stack_class];
    if (slab == nullptr || slab->carved.load(std::memory_order_relaxed) == slab->slots)
        slab = &new_slab(stack_class);
    const std::size_t left = slab->slots - slab->carved.load(std::memory_order_relaxed);
    for (std::size_t i = std::min(count, left); i > 0; --i) taken.push(carve(stack_class, *slab));
    return taken;
}

void StackPool::give(unsigned stack_class, TaskList&& stacks) {
    std::lock_guard lock(locks_[stack_class]);
    free_[stack_class].append(std::move(stacks));
}

StackPool::Slab& StackPool::new_slab(unsigned stack_class) {
    const std::size_t bytes = bytes_[stack_class];
    const std::size_t slots = std::max<std::size_t>(1, kSlabBytes / bytes);
    void* const base = ::mmap(nullptr, bytes * slots, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    // One touch of a stack must not fault in 2 MiB, that is eight stacks.
    ::madvise(base, bytes * slots, MADV_NOHUGEPAGE);
    slabs_.push_back(std::make_unique<Slab>(static_cast<char*>(base), bytes, slots));
    open_[stack_class] = slabs_.back().get();
    reserved_.fetch_add(bytes * slots, std::memory_order_relaxed);
    return *slabs_.back();
}

Task* StackPool::carve(unsigned stack_class, Slab& slab) {
    const std::size_t index = slab.carved.load(std::memory_order_relaxed);
    char* const bottom = slab.base + index * slab.slot_bytes;
    guard(bottom);
    Task* const task = ::new (slab.task(index)) Task;
    task->stack_bottom = bottom + kPage;
    task->stack_class = static_cast<std::uint8_t>(stack_class);
    slab.carved.store(index + 1, std::memory_order_release);
    return task;
}

void StackPool::guard(char* page) {
    if (guard_.load(std::memory_order_relaxed) == Guard::install) {
        if (::madvise(page, kPage, kGuardInstall) == 0) return;
        guard_.store(Guard::mprotect, std::memory_order_relaxed);
    }
    if (mprotected_.load(std::memory_order_relaxed) >= mprotect_share()) return;
    if (::mprotect(page, kPage, PROT_NONE) == 0) mprotected_.fetch_add(1, std::memory_order_relaxed);
}

bool StackPool::in_guard(const Task& task, const void* address) const {
    const char* const end = static_cast<const char*>(task.stack_bottom);
    const char* const at = static_cast<const char*>(address);
    return at >= end - kPage && at < end;
}

}  // namespace sluice::runtime
