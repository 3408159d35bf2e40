#include "runtime/overflow.h"

#include <array>
#include <cerrno>

#include <unistd.h>

#include "runtime/sanitizer.h"
#include "runtime/stack.h"
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
                 ".*runtime_tests");
}

TEST(OverflowDeath, OtherFaultsAreNotItsBusiness) {
    if (kAsan || kTsan) GTEST_SKIP() << "the sanitizers tell of it themselves";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(Scheduler({.workers = 1}).run([] { *static_cast<volatile int*>(nullptr) = 1; }),
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
    TaskList stacks = pool.take(1, 20);
    ASSERT_EQ(stacks.size(), 20U);
    while (Task* const task = stacks.pop()) {
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
