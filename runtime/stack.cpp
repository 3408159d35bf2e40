#include "runtime/stack.h"

#include <algorithm>
#include <fstream>
#include <new>
#include <utility>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

// madvise() of many places in one system call (Linux 6.13 for oneself). False: not, or not of all.
bool advise(int process, std::span<const iovec> places, int advice) {
    std::size_t bytes = 0;
    for (const iovec& place : places) bytes += place.iov_len;
    return ::syscall(SYS_process_madvise, process, places.data(), places.size(), advice, 0) ==
           static_cast<long>(bytes);
}

std::size_t round_up(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

char* map_stacks(std::size_t bytes) {
    void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    // One touch of a stack must not fault in 2 MiB, that is eight stacks.
    ::madvise(base, bytes, MADV_NOHUGEPAGE);
    return static_cast<char*>(base);
}

}  // namespace

StackPool::Slab::Slab(std::size_t bytes, std::size_t count)
    : slot_bytes(bytes),
      slots(count),
      bags(std::make_unique<Bag[]>(bag_count())),
      base(map_stacks(bytes * count)) {
    show_to_gdb(shown);
}

StackPool::Slab::~Slab() {
    hide_from_gdb(shown);
    ::munmap(base, slot_bytes * slots);
}

Task* StackPool::Slab::task(std::size_t index) const {
    const std::size_t colour = index % kColours * kColourStep;
    char* const top = base + (index + 1) * slot_bytes - colour - sizeof(Task);
    return reinterpret_cast<Task*>(top);
}

StackPool::StackPool(std::size_t usual, Guard guard)
    : bytes_{std::size_t{64} << 10, round_up(std::max(usual, std::size_t{16} << 10), kPage),
             std::size_t{8} << 20},
      self_(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))),
      guard_(guard) {}

StackPool::~StackPool() {
    for (const auto& slab : slabs_) {
        const std::size_t carved = slab->carved.load(std::memory_order_relaxed);
        for (std::size_t i = 0; i < carved; ++i) forget_context(slab->task(i)->context, true);
    }
    if (self_ >= 0) ::close(self_);
}

std::size_t StackPool::take_free(Free& free, std::span<Task*> into) {
    std::lock_guard lock(free.lock);
    const bool whole = into.size() >= kBag;
    if (Bag* const bag = free.full; bag != nullptr && (whole || free.single.empty())) {
        free.full = std::exchange(bag->next, free.unused);
        free.unused = bag;
        if (whole) {
            std::ranges::copy(bag->stacks, into.begin());
            return kBag;
        }
        for (Task* const task : bag->stacks) free.single.push(task);
    }
    std::size_t taken = 0;
    while (taken < into.size() && !free.single.empty()) into[taken++] = free.single.pop();
    return taken;
}

std::size_t StackPool::take(unsigned stack_class, std::span<Task*> into) {
    if (const std::size_t taken = take_free(free_[stack_class], into)) return taken;
    std::lock_guard lock(slabs_mutex_);
    Slab* slab = open_[stack_class];
    if (slab == nullptr || slab->carved.load(std::memory_order_relaxed) == slab->slots)
        slab = &new_slab(stack_class);
    const std::size_t left = slab->slots - slab->carved.load(std::memory_order_relaxed);
    const std::size_t count = std::min({into.size(), left, kCarvedAtOnce});
    carve(stack_class, *slab, into.first(count));
    return count;
}

void StackPool::give(unsigned stack_class, std::span<Task* const> stacks) noexcept {
    Free& free = free_[stack_class];
    std::lock_guard lock(free.lock);
    if (stacks.size() == kBag) {
        Bag* const bag = free.unused;
        std::ranges::copy(stacks, bag->stacks.begin());
        free.unused = std::exchange(bag->next, free.full);
        free.full = bag;
    } else {
        for (Task* const task : stacks) free.single.push(task);
    }
}

StackPool::Slab& StackPool::new_slab(unsigned stack_class) {
    const std::size_t bytes = bytes_[stack_class];
    const std::size_t slots = std::max<std::size_t>(1, kSlabBytes / bytes);
    slabs_.push_back(std::make_unique<Slab>(bytes, slots));
    Slab& slab = *slabs_.back();
    {
        Free& free = free_[stack_class];
        std::lock_guard lock(free.lock);
        for (Bag& bag : std::span(slab.bags.get(), slab.bag_count())) {
            bag.next = std::exchange(free.unused, &bag);
        }
    }
    open_[stack_class] = &slab;
    reserved_.fetch_add(bytes * slots, std::memory_order_relaxed);
    return slab;
}

void StackPool::carve(unsigned stack_class, Slab& slab, std::span<Task*> into) {
    std::size_t index = slab.carved.load(std::memory_order_relaxed);
    prepare(slab, index, into.size());
    for (Task*& task : into) {
        task = ::new (slab.task(index)) Task;
        task->stack_bottom = slab.base + index * slab.slot_bytes + kPage;
        task->stack_class = static_cast<std::uint8_t>(stack_class);
        slab.carved.store(++index, std::memory_order_release);
    }
}

// Guards the lowest pages and touches the highest, of all at once: two system calls, and of the touches the
// kernel makes half of what as many faults cost.
void StackPool::prepare(const Slab& slab, std::size_t first, std::size_t count) {
    std::array<iovec, kCarvedAtOnce> lowest;
    std::array<iovec, kCarvedAtOnce> highest;
    for (std::size_t i = 0; i < count; ++i) {
        char* const bottom = slab.base + (first + i) * slab.slot_bytes;
        lowest[i] = {bottom, kPage};
        highest[i] = {bottom + slab.slot_bytes - kPage, kPage};
    }
    if (guard_.load(std::memory_order_relaxed) != Guard::install ||
        !advise(self_, std::span(lowest).first(count), kGuardInstall))
        for (std::size_t i = 0; i < count; ++i) guard(static_cast<char*>(lowest[i].iov_base));
    advise(self_, std::span(highest).first(count), MADV_POPULATE_WRITE);
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
