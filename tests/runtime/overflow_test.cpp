#include "runtime/overflow.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/sanitizer.h"
#include "runtime/stack.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
[[gnu::noinline]] int without_end(int depth) {
    volatile char frame[512];
    frame[0] = static_cast<char>(depth);
    return without_end(depth + 1) + frame[0];
}
#pragma GCC diagnostic pop

TEST(OverflowDeath, NamesTheTaskAndWhereItWasSpawned) {
    if (kAsan || kTsan) GTEST_SKIP() << "the sanitizers tell of it themselves";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(Scheduler({.workers = 2}).run([] { go([] { without_end(0); }); }),
                 "task [0-9]+, spawned at .*overflow_test.cpp:[0-9]+, overflowed its stack of 2[0-9]+ bytes\n"
                 ".*without_end[^ ]*\\+0x[0-9a-f]+ \\(runtime_tests\\+0x");
}

// Tasks that fill most of their stacks and wait; and who handled the fault before the runtime did: it looks
// at all of them after the report.
constexpr std::size_t kFilled = std::size_t{200} << 10;
constexpr std::size_t kNeighbours = 16;
std::array<std::atomic<const unsigned char*>, kNeighbours> filled{};

[[gnu::noinline]] void fill_and_wait(std::size_t index, Channel<int>& filled_one, Channel<int>& never) {
    std::array<unsigned char, kFilled> bytes;
    bytes.fill(static_cast<unsigned char>(index + 1));
    filled[index] = bytes.data();
    filled_one.send(1);
    never.receive();
}

void look_at_neighbours(int) {
    bool intact = true;
    for (std::size_t i = 0; i < kNeighbours; ++i) {
        const unsigned char* const bytes = filled[i];
        intact &= std::all_of(bytes, bytes + kFilled, [&](unsigned char byte) { return byte == i + 1; });
    }
    const std::string_view verdict = intact ? "all intact\n" : "damaged\n";
    std::_Exit(::write(STDERR_FILENO, verdict.data(), verdict.size()) > 0 && intact ? 3 : 4);
}

TEST(OverflowDeath, LeavesTheStacksOfOtherTasksIntact) {
    if (kAsan || kTsan) GTEST_SKIP() << "the sanitizers tell of it themselves";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(
        {
            struct sigaction action{};
            action.sa_handler = &look_at_neighbours;
            action.sa_flags = SA_ONSTACK;
            ::sigaction(SIGSEGV, &action, nullptr);
            Scheduler({.workers = 1}).run([] {
                Channel<int> filled_one;
                Channel<int> go_on;
                Channel<int> never;
                for (std::size_t i = 0; i < kNeighbours; ++i) {
                    go([&, i] { fill_and_wait(i, filled_one, never); });
                    if (i == kNeighbours / 2) {
                        go([&] {
                            go_on.receive();
                            without_end(0);
                        });
                    }
                }
                for (std::size_t i = 0; i < kNeighbours; ++i) filled_one.receive();
                go_on.send(1);
                never.receive();
            });
        },
        testing::ExitedWithCode(3), "overflowed its stack[^$]*all intact");
}

TEST(OverflowDeath, OtherFaultsAreNotItsBusiness) {
    if (kAsan || kTsan) GTEST_SKIP() << "the sanitizers tell of it themselves";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(Scheduler({.workers = 1}).run([] { *static_cast<volatile int*>(nullptr) = 1; }),
                testing::KilledBySignal(SIGSEGV), "^$");
}

TEST(OverflowDeath, AFaultThatWasSentEndsTheProcessToo) {
    if (kAsan || kTsan) GTEST_SKIP() << "the sanitizers tell of it themselves";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(Scheduler({.workers = 1}).run([] {
        ::kill(::getpid(), SIGSEGV);
        this_task::sleep_for(std::chrono::seconds(20));
    }),
                testing::KilledBySignal(SIGSEGV), "^$");
}

// Whether the byte can be read, without a fault when it cannot.
bool readable(const void* at) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) std::abort();
    const bool could = ::write(ends[1], at, 1) == 1;
    ::close(ends[0]);
    ::close(ends[1]);
    return could;
}

class GuardTest : public testing::TestWithParam<Guard> {};
INSTANTIATE_TEST_SUITE_P(Kinds, GuardTest, testing::Values(Guard::install, Guard::mprotect));

TEST_P(GuardTest, APageBelowEveryStackCannotBeTouched) {
    StackPool pool(std::size_t{64} << 10, GetParam());
    std::array<Task*, 2 * StackPool::kBag> stacks;
    std::size_t count = 0;
    while (count < StackPool::kBag) count += pool.take(1, std::span(stacks).subspan(count, StackPool::kBag));
    for (Task* const task : std::span(stacks).first(count)) {
        char* const bottom = static_cast<char*>(task->stack_bottom);
        EXPECT_TRUE(readable(bottom));
        EXPECT_FALSE(readable(bottom - 1));
        EXPECT_FALSE(readable(bottom - 4096));
        EXPECT_TRUE(pool.in_guard(*task, bottom - 1));
        EXPECT_FALSE(pool.in_guard(*task, bottom));
    }
}

}  // namespace
}  // namespace sluice::runtime
