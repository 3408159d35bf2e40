#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/hold.h"
#include "runtime/sanitizer.h"
#include "runtime/stack.h"

// Giving stacks back that were used deep. How deep a stack was once, only its page table knows: it is read
// from /proc/self/pagemap, a slab at a time. A task must not run while its stack is trimmed (hold.h).
namespace sluice::runtime {

namespace {

constexpr std::uint64_t kPresent = std::uint64_t{1} << 63;  // Documentation/admin-guide/mm/pagemap.rst

// Below the frame that begin_park() notes lie the variables of park_until(), and the frames of the switch.
constexpr std::size_t kSwitchBytes = kAsan || kTsan ? 8192 : 1024;
// Less than this at the top is not worth a system call, and a free stack's next closure may be written there
// while it is trimmed.
constexpr std::size_t kTopBytes = std::size_t{12} << 10;
// With the Task block and the colour above them, what is kept lies in as many pages at most.
constexpr std::size_t kTopPages = 4;

// For each page of the slab, whether it is in memory. Empty when the system does not say.
std::vector<std::uint64_t> pages_of(const char* base, std::size_t bytes, std::size_t page) {
    std::vector<std::uint64_t> pages(bytes / page);
    const int file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (file < 0) return {};
    const auto offset = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(base) / page * sizeof pages[0]);
    const auto size = static_cast<ssize_t>(pages.size() * sizeof pages[0]);
    const bool complete = ::pread(file, pages.data(), static_cast<std::size_t>(size), offset) == size;
    ::close(file);
    return complete ? pages : std::vector<std::uint64_t>{};
}

// When it parked last, or became free.
Time since(const Task& task) {
    return Time(Duration(task.since.load(std::memory_order_relaxed)));
}

// When the `count`th of what became free last did so; Time::min() where there are no more than that.
Time since_of_newest(std::size_t count, std::vector<Time> since) {
    if (since.size() <= count) return Time::min();
    const auto last = since.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(since.begin(), last, since.end(), std::greater<>());
    return *last;
}

}  // namespace

bool StackPool::trim(Time idle, const std::function<void()>& between) {
    std::vector<Slab*> slabs;
    {
        std::lock_guard lock(slabs_mutex_);
        for (const auto& slab : slabs_) slabs.push_back(slab.get());
    }
    std::vector<Deep> deep;
    for (const Slab* slab : slabs) {
        find_deep(*slab, deep);
        between();
    }
    ++trims_;

    std::vector<Time> free;
    for (const Deep& each : deep) {
        if (each.task->state.load(std::memory_order_relaxed) == TaskState::free)
            free.push_back(since(*each.task));
    }
    const Time warm = std::max(since_of_newest(kWarm, std::move(free)), idle - kWarmFor);

    bool left_over = false;
    std::array<Task*, kHeldAtATime> held;
    for (std::span<const Deep> rest = deep; !rest.empty();) {
        const std::size_t some = std::min(held.size(), rest.size());
        for (std::size_t i = 0; i < some; ++i) held[i] = rest[i].task;
        const Deep* next = rest.data();
        while_held(std::span<Task* const>(held).first(some),
                   [&](Task&) noexcept { left_over |= !trim_one(*next++, idle, warm); });
        rest = rest.subspan(some);
        between();
    }
    return left_over;
}

void StackPool::find_deep(const Slab& slab, std::vector<Deep>& deep) const {
    const std::size_t carved = slab.carved.load(std::memory_order_acquire);
    const std::size_t pages_each = slab.slot_bytes / kPage;
    const std::size_t pages_deep = pages_each - kTopPages;
    const auto in_memory = [](std::uint64_t page) { return (page & kPresent) != 0; };
    const auto pages = pages_of(slab.base, carved * slab.slot_bytes, kPage);
    for (std::size_t i = 0; i < pages.size() / pages_each; ++i) {
        const auto own = std::span(pages).subspan(i * pages_each, pages_each);
        const auto count = static_cast<std::size_t>(std::ranges::count_if(own.first(pages_deep), in_memory));
        if (count > 0) deep.push_back({slab.task(i), count, (i + trims_) % kTurns == kTurns - 1});
    }
}

// False: not now, it runs, or has run just lately.
bool StackPool::trim_one(const Deep& deep, Time idle, Time warm) {
    const Task& task = *deep.task;
    const TaskState state = task.state.load(std::memory_order_acquire);
    const bool lately = since(task) > idle;
    std::size_t kept = kTopBytes;
    if (state == TaskState::free) {
        if (deep.pages <= kWarmPages && since(task) >= warm) return false;
        if (lately && !deep.in_turn) return false;
    } else {
        if (state != TaskState::parked || lately) return false;
        kept = task.parked_bytes.load(std::memory_order_relaxed) + kSwitchBytes;
    }
    auto* const bottom = static_cast<char*>(task.stack_bottom);
    auto* const top =
        reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(&task) - kept) / kPage * kPage);
    if (top > bottom && ::madvise(bottom, static_cast<std::size_t>(top - bottom), MADV_DONTNEED) == 0)
        trimmed_.fetch_add(1, std::memory_order_relaxed);
    return true;
}

}  // namespace sluice::runtime
