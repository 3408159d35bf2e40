// How many CPUs this process may use, told by a system of files of our own, and followed when it changes.

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <sched.h>
#include <stdlib.h>

#include "runtime/inspect.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;

class Cpus : public testing::Test {
  protected:
    Cpus() {
        std::string name = testing::TempDir() + "cpus-XXXXXX";
        root_ = ::mkdtemp(name.data());
    }
    ~Cpus() override { std::filesystem::remove_all(root_); }

    // Sets no limit yet, or says why no worker could be seen to follow one.
    const char* cannot_follow() {
#ifdef SLUICE_FORCE_MIGRATION
        return "tasks are resumed on any worker";
#endif
        write("/proc/self/cgroup", "0::/");
        write("/sys/fs/cgroup/cpu.max", "max 100000");
        return available_cpus(root_) < 2 ? "there is but one CPU" : nullptr;
    }
    void write(const std::string& path, const std::string& text) {
        std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
        std::ofstream(root_ + path + "~") << text << '\n';
        std::filesystem::rename(root_ + path + "~", root_ + path);  // nobody reads half of it
    }

    std::string root_;
};

TEST_F(Cpus, AreWhatTheTightestQuotaOnTheWayGrants) {
    const unsigned all = available_cpus(root_);
    EXPECT_GE(all, 1U);
    write("/proc/self/cgroup", "0::/a/b");
    write("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
    EXPECT_EQ(available_cpus(root_), all);
    write("/sys/fs/cgroup/a/cpu.max", "50000 100000");
    EXPECT_EQ(available_cpus(root_), 1U);
}

// Half a CPU more than one is a second worker; on a machine with less, what there is.
TEST_F(Cpus, AreCountedUpwards) {
    const unsigned all = available_cpus(root_);
    write("/proc/self/cgroup", "0::/");
    for (const auto& [quota, cpus] : {std::pair("100000 100000", 1U), std::pair("100001 100000", 2U),
                                      std::pair("25000 10000", 3U), std::pair("1 100000", 1U)}) {
        write("/sys/fs/cgroup/cpu.max", quota);
        EXPECT_EQ(available_cpus(root_), std::min(cpus, all)) << quota;
    }
}

TEST_F(Cpus, AreThoseTheThreadMayRunOn) {
    cpu_set_t before;
    ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
    EXPECT_EQ(available_cpus(root_), static_cast<unsigned>(CPU_COUNT(&before)));
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(::sched_getcpu(), &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(available_cpus(root_), 1U);
    EXPECT_EQ(Scheduler().workers(), 1U);
    ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST_F(Cpus, AreWhatAQuotaOfVersion1Grants) {
    const unsigned all = available_cpus(root_);
    write("/proc/self/cgroup", "4:memory:/x\n3:cpu,cpuacct:/x");
    write("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000");
    write("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1");
    EXPECT_EQ(available_cpus(root_), all);
    write("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "90000");
    EXPECT_EQ(available_cpus(root_), 1U);
}

void wait_until(auto&& condition) {
    const Time give_up = now() + 30s;
    while (!condition() && now() < give_up) this_task::sleep_for(5ms);
    EXPECT_TRUE(condition());
}

void keep_busy() {
    const Time until = now() + 200us;
    while (now() < until) {
    }
}

// The workers on which some tasks ran that kept one busy for a while.
unsigned workers_in_use() {
    std::atomic<std::uint64_t> seen{0};
    WaitGroup group;
    for (int i = 0; i < 64; ++i) {
        group.add();
        go([&] {
            keep_busy();
            seen.fetch_or(std::uint64_t{1} << worker_index());
            group.done();
        });
    }
    group.wait();
    return static_cast<unsigned>(std::popcount(seen.load()));
}

// Calls `hold` in a task on a worker that is `wanted`: of some that run, the first to get hold of one.
void hold_a_worker(const Scheduler& scheduler, auto wanted, auto hold) {
    const auto held = std::make_shared<std::atomic<bool>>(false);
    for (unsigned i = 0; i < 2 * scheduler.workers(); ++i) {
        go([=] {
            while (!held->load()) {
                if (wanted(worker_index()) && !held->exchange(true)) return hold();
                this_task::yield();
            }
        });
    }
}

TEST_F(Cpus, AreFollowedByTheWorkersWhenTheyChange) {
    if (const char* why = cannot_follow()) GTEST_SKIP() << why;
    TimedScheduler scheduler({.system_root = root_});
    scheduler.run([&] {
        wait_until([] { return workers_in_use() >= 2; });
        // One that sleeps on each worker wakes up though its worker rests by then.
        WaitGroup sleepers;
        std::atomic<std::uint64_t> asleep{0};
        std::atomic<bool> stop{false};
        for (unsigned i = 0; i < 2 * scheduler.workers(); ++i) {
            sleepers.add();
            go([&] {
                while (std::popcount(asleep.load()) < 2 && !stop.load()) {
                    asleep.fetch_or(std::uint64_t{1} << worker_index());
                    keep_busy();
                    this_task::yield();
                }
                this_task::sleep_for(3s);
                sleepers.done();
            });
        }
        write("/sys/fs/cgroup/cpu.max", "100000 100000");
        wait_until([&] { return scheduler.active_workers() == 1; });
        wait_until([] { return workers_in_use() == 1; });
        stop.store(true);
        sleepers.wait();
        EXPECT_EQ(workers_in_use(), 1U);
        EXPECT_EQ(counters(scheduler).active_workers, 1U);
        write("/sys/fs/cgroup/cpu.max", "max 100000");
        wait_until([&] { return scheduler.active_workers() == scheduler.workers(); });
        wait_until([] { return workers_in_use() >= 2; });
    });
}

TEST_F(Cpus, AreNotFollowedWhenTheNumberOfWorkersWasGiven) {
    write("/proc/self/cgroup", "0::/");
    write("/sys/fs/cgroup/cpu.max", "100000 100000");
    TimedScheduler scheduler({.workers = 3, .system_root = root_});
    scheduler.run([&] {
        this_task::sleep_for(1200ms);  // the watcher looks once a second
        EXPECT_EQ(scheduler.active_workers(), 3U);
    });
}

// The worker that may go on sleeps then, and the one that may not is the last to know that all is done.
TEST_F(Cpus, FewerOfThemWhileTheLastTaskRunsDoNotKeepRunFromReturning) {
    if (const char* why = cannot_follow()) GTEST_SKIP() << why;
    TimedScheduler scheduler({.system_root = root_});
    scheduler.run([&] {
        // One that will have to rest. Its thread is kept busy until then.
        const auto will_rest = [](unsigned worker) { return worker > 0; };
        hold_a_worker(scheduler, will_rest, [&] {
            write("/sys/fs/cgroup/cpu.max", "100000 100000");
            while (scheduler.active_workers() > 1 || counters(scheduler).live > 1)
                std::this_thread::sleep_for(1ms);
        });
    });
    EXPECT_EQ(counters(scheduler).live, 0U);
}

// The last of the workers that may go on is no use if a task holds it up.
TEST_F(Cpus, FewerOfThemDoNotLeaveAllToAWorkerThatIsStuck) {
    if (const char* why = cannot_follow()) GTEST_SKIP() << why;
    TimedScheduler scheduler({.system_root = root_});
    scheduler.run([&] {
        std::atomic<bool> stuck{false};
        std::atomic<bool> free{false};
        WaitGroup group;
        group.add();
        const auto goes_on = [](unsigned worker) { return worker == 0; };
        hold_a_worker(scheduler, goes_on, [&] {
            stuck = true;
            while (!free) std::this_thread::sleep_for(1ms);
            group.done();
        });
        while (!stuck) this_task::yield();
        std::jthread rescue([&] {  // or the test would hang
            for (const Time end = steady_now() + 10s; !free && steady_now() < end;)
                std::this_thread::sleep_for(10ms);
            EXPECT_TRUE(free.exchange(true)) << "nothing ran until the one that is stuck had ended";
        });
        write("/sys/fs/cgroup/cpu.max", "100000 100000");
        for (const Time end = now() + 3s; now() < end;) this_task::sleep_for(10ms);  // the watcher has looked
        free = true;
        group.wait();
        wait_until([&] { return scheduler.active_workers() == 1; });
    });
}

}  // namespace
}  // namespace sluice::runtime
