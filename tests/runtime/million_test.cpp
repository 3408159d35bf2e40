#include <atomic>
#include <memory>

#include "runtime/sanitizer.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

// The sanitizers keep shadow memory, and records of at most 8,000 threads. A million is two minutes' work
// where a page fault is slow, so one worker has fewer.
constexpr std::size_t kMost = kTsan ? 2'000 : kAsan ? 20'000 : 1'000'000;

class MillionTest : public OnWorkers {};
INSTANTIATE_TEST_SUITE_P(Workers, MillionTest, testing::Values(1U, 2U),
                         [](const auto& test) { return std::to_string(test.param); });

TEST_P(MillionTest, TasksParkAtOnceAndAreReleased) {
    const std::size_t tasks = GetParam() > 1 ? kMost : kMost / 10;
    const auto parked = std::make_unique<std::atomic<Task*>[]>(tasks);
    std::atomic<std::size_t> count{0};
    std::atomic<std::size_t> released{0};
    run([&] {
        for (std::size_t i = 0; i < tasks; ++i) {
            go([&, i] {
                struct Arg {
                    std::atomic<Task*>& place;
                    std::atomic<std::size_t>& count;
                } arg{parked[i], count};
                park(
                    WaitReason::condition, nullptr,
                    [](void* a, Task* task) {
                        auto& [place, parked_so_far] = *static_cast<Arg*>(a);
                        place.store(task);
                        parked_so_far.fetch_add(1);
                        return true;
                    },
                    &arg);
                released.fetch_add(1);
            });
        }
        while (count.load() < tasks) this_task::yield();
        for (std::size_t i = 0; i < tasks; ++i) {
            unpark(parked[i].load());
            if (i % 64 == 0) this_task::yield();
        }
    });
    EXPECT_EQ(released.load(), tasks);
}

}  // namespace
}  // namespace sluice::runtime
