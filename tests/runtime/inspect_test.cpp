#include "runtime/inspect.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/barrier.h"
#include "runtime/blocking.h"
#include "runtime/channel.h"
#include "runtime/sanitizer.h"
#include "runtime/symbols.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

class Inspect : public OnWorkers {
  protected:
    void SetUp() override {
        if (!heavy_barrier()) GTEST_SKIP() << "no membarrier here";
    }
};
ON_WORKERS(Inspect);

// Two ways to wait, each three functions deep. Each does something after its call, or that would be a jump;
// and something of its own, or the compiler would fold them into one.
#define WAIT_IN(name, callee)                            \
    [[gnu::noinline]] bool name(Channel<int>& channel) { \
        const bool more = callee;                        \
        asm volatile("# " #name);                        \
        return more;                                     \
    }
WAIT_IN(left_inner, channel.receive().has_value())
WAIT_IN(left_middle, left_inner(channel))
WAIT_IN(left_outer, left_middle(channel))
WAIT_IN(right_inner, channel.receive().has_value())
WAIT_IN(right_middle, right_inner(channel))
WAIT_IN(right_outer, right_middle(channel))
#undef WAIT_IN

// The names of the functions that frames are in, looked up once each.
class Names {
  public:
    std::vector<std::string_view> of(const std::vector<void*>& frames) {
        std::vector<std::string_view> names;
        for (void* const frame : frames) {
            auto& name = known_[frame];
            if (name == nullptr) name = find(reinterpret_cast<std::uintptr_t>(frame) - 1);
            names.emplace_back(name);
        }
        return names;
    }

  private:
    const char* find(std::uintptr_t address) const {
        Symbol symbol{.address = address};
        symbols_.find({&symbol, 1});
        return symbol.function != nullptr ? symbol.function : "?";
    }

    Symbols symbols_;
    std::map<void*, const char*> known_;
};

// Whether the names of the three functions stand one after the other.
bool are_in(const std::vector<std::string_view>& names, std::string_view side) {
    const std::vector<std::string> wanted = {std::string(side) + "_inner", std::string(side) + "_middle",
                                             std::string(side) + "_outer"};
    const auto is = [](std::string_view name, const std::string& part) { return name.contains(part); };
    return !std::ranges::search(names, wanted, is).empty();
}

std::vector<TaskInfo> waiting_on(Scheduler& scheduler, const void* what) {
    std::vector<TaskInfo> found = tasks(scheduler, WithFrames::yes);
    std::erase_if(found, [&](const TaskInfo& task) { return task.waits_on != what; });
    return found;
}

// Calls then(task) while one task waits in left_outer(), with its frames.
void beside_one_that_waits(unsigned workers, auto&& then) {
    Scheduler scheduler({.workers = workers});
    const Overtime overtime(scheduler);
    scheduler.run([&] {
        Channel<int> left;
        WaitGroup ended;
        ended.add();
        go([&] {
            left_outer(left);
            ended.done();
        });
        std::vector<TaskInfo> found;
        while ((found = waiting_on(scheduler, &left)).empty()) this_task::yield();
        then(scheduler, found[0]);
        left.close();
        ended.wait();
    });
}

TEST_P(Inspect, AParkedTaskShowsTheFunctionsItIsIn) {
    beside_one_that_waits(GetParam(), [](Scheduler& scheduler, const TaskInfo& waits) {
        EXPECT_TRUE(are_in(Names().of(waits.frames), "left"));
        const std::string text = dump(scheduler);
        const std::size_t group =
            text.find("1 task parked in channel receive, spawned at tests/runtime/inspect_test.cpp:");
        const std::size_t inner = text.find("(anonymous namespace)::left_inner(", group);
        const std::size_t middle = text.find("(anonymous namespace)::left_middle(", inner);
        EXPECT_NE(text.find("(anonymous namespace)::left_outer(", middle), std::string::npos) << text;
    });
}

TEST_P(Inspect, AParkedTaskTellsHowMuchOfItsStackIsInUse) {
    Scheduler scheduler({.workers = GetParam()});
    const Overtime overtime(scheduler);
    scheduler.run([&] {
        Channel<int> shallow;
        Channel<int> deep;
        WaitGroup ended;
        ended.add(2);
        go([&] {
            shallow.receive();
            ended.done();
        });
        go([&] {
            std::array<char, 20'000> used;
            const auto lives = [&] { asm volatile("" : : "r"(used.data()) : "memory"); };
            lives();
            deep.receive();
            lives();
            ended.done();
        });
        std::vector<TaskInfo> low;
        std::vector<TaskInfo> high;
        while ((low = waiting_on(scheduler, &shallow)).empty()) this_task::yield();
        while ((high = waiting_on(scheduler, &deep)).empty()) this_task::yield();
        EXPECT_GT(low[0].stack_bytes, 0U);
        EXPECT_LT(low[0].stack_bytes, 20'000U);
        EXPECT_GE(high[0].stack_bytes, 20'000U);
        EXPECT_LT(high[0].stack_bytes, 40'000U);
        shallow.close();
        deep.close();
        ended.wait();
    });
}

TEST_P(Inspect, FramesAreForTheAskingAndOfTheParked) {
    beside_one_that_waits(GetParam(), [](Scheduler& scheduler, const TaskInfo&) {
        for (const TaskInfo& task : tasks(scheduler)) EXPECT_TRUE(task.frames.empty());
        for (const TaskInfo& task : tasks(scheduler, WithFrames::yes))
            EXPECT_EQ(task.frames.empty(), task.state != TaskState::parked);
    });
}

// A stack was used before, or never: neither is when its task began.
TEST_P(Inspect, ATaskThatHasNeverParkedIsAsOldAsItsSpawn) {
    const Time before =
        steady_now() - std::chrono::milliseconds(100);  // a worker's clock is read now and then
    Scheduler scheduler({.workers = GetParam()});
    const Overtime overtime(scheduler);
    scheduler.run([&] {
        const auto look = [&] {
            for (const TaskInfo& task : tasks(scheduler)) EXPECT_GE(task.since, before) << task.id;
        };
        look();
        WaitGroup ended;
        ended.add();
        go([&] {
            look();
            ended.done();
        });
        ended.wait();
    });
}

// What a look at those who receive finds: whatever a task waits on when its stack is read, it is that wait's
// functions that are to be there.
struct Found {
    std::size_t seen = 0;
    std::size_t wrong = 0;
};

Found look_at_receivers(Scheduler& scheduler, const Channel<int>& left, Names& names) {
    Found found;
    for (const TaskInfo& task : tasks(scheduler, WithFrames::yes)) {
        if (task.wait_reason != WaitReason::channel_receive || task.frames.empty()) continue;
        ++found.seen;
        found.wrong += are_in(names.of(task.frames), task.waits_on == &left ? "left" : "right") ? 0 : 1;
    }
    return found;
}

// Looks as often as `looks` says at tasks that are woken without end. Only looks count that saw something and
// between which the tasks ran; three seconds are enough on a machine that leaves us little time for both.
Found look_in_a_storm(Scheduler& scheduler, const Channel<int>& left, int looks) {
    Found all;
    Names names;
    std::uint64_t switches = 0;
    const Time enough = steady_now() + std::chrono::seconds(3);
    while (looks > 0 && (all.seen == 0 || steady_now() < enough)) {
        const auto [seen, wrong] = look_at_receivers(scheduler, left, names);
        all.seen += seen;
        all.wrong += wrong;
        const std::uint64_t before = std::exchange(switches, counters(scheduler).switches);
        if (switches == before)
            std::this_thread::yield();
        else if (seen > 0)
            --looks;
    }
    return all;
}

void expect_truth_in_a_storm(unsigned workers, int receivers, int looks) {
    Scheduler scheduler({.workers = workers});
    const Overtime overtime(scheduler);
    scheduler.run([&] {
        Channel<int> left;
        Channel<int> right;
        WaitGroup ended;
        const auto start = [&](int count, auto work) {
            ended.add(static_cast<std::uint32_t>(count));
            for (int i = 0; i < count; ++i) {
                go([&ended, work] {
                    work();
                    ended.done();
                });
            }
        };
        start(receivers, [&] {
            while (left_outer(left) && right_outer(right)) {
            }
        });
        start(2, [&] {
            while (left.send(1)) {
            }
        });
        start(2, [&] {
            while (right.send(1)) {
            }
        });
        const Found found = blocking([&] { return look_in_a_storm(scheduler, left, looks); });
        EXPECT_EQ(found.wrong, 0U) << "of " << found.seen;
        left.close();
        right.close();
        ended.wait();
    });
}

TEST_P(Inspect, FramesAreTrueWhileThousandsOfTasksAreWoken) {
    expect_truth_in_a_storm(GetParam(), kTsan || kAsan ? 1000 : 4000, 20);
}

// Each of so few runs again as soon as it has parked: without being held, one in some thousands was read
// wrongly.
TEST_P(Inspect, FramesAreTrueWhileTheirTasksRunAllTheTime) {
    expect_truth_in_a_storm(GetParam(), 8, kTsan || kAsan ? 500 : 2000);
}

}  // namespace
}  // namespace sluice::runtime
