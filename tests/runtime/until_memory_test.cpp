#include "runtime/until_memory.h"

#include <stdexcept>

#include "runtime/task_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class UntilMemory : public InVirtualTime {};

// How often it calls what runs out of it each time. After `most` calls it is told to give up.
int calls_until_it_gives_up(int most) {
    int calls = 0;
    const auto fails = [&] {
        ++calls;
        throw std::bad_alloc();
    };
    EXPECT_THROW(until_memory(fails, [&] { return calls == most; }), std::bad_alloc);
    return calls;
}

TEST_F(UntilMemory, CallsAgainASecondLaterWhatRanOutOfIt) {
    run([] {
        const Time began = now();
        int calls = 0;
        until_memory([&] {
            if (++calls < 4) throw std::bad_alloc();
        });
        EXPECT_EQ(calls, 4);
        EXPECT_GE(now() - began, 3s);
        EXPECT_LT(now() - began, 4s);
    });
}

TEST_F(UntilMemory, IsForNothingElse) {
    run([] {
        int calls = 0;
        const auto fails = [&] {
            ++calls;
            throw std::runtime_error("");
        };
        EXPECT_THROW(until_memory(fails), std::runtime_error);
        EXPECT_EQ(calls, 1);
    });
}

TEST_F(UntilMemory, GivesUpWhereItIsCancelledOrTold) {
    run([] {
        TaskGroup group;
        bool gave_up = false;
        group.go([&] {
            try {
                until_memory([] { throw std::bad_alloc(); });
            } catch (const std::bad_alloc&) {
                gave_up = true;
            }
        });
        this_task::sleep_for(10s);
        EXPECT_FALSE(gave_up);
        group.cancel();
        group.wait();
        EXPECT_TRUE(gave_up);

        EXPECT_EQ(calls_until_it_gives_up(3), 3);
    });
}

TEST_F(UntilMemory, GivesUpWhereAPauseIsNone) {
    run([] {
        const this_task::DeadlineScope over(now());
        EXPECT_EQ(calls_until_it_gives_up(10), 1);
    });
}

}  // namespace
}  // namespace sluice::runtime
