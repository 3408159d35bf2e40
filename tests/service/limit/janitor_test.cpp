#include "service/limit/janitor.h"

#include <vector>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/service/limit/clients.h"

namespace sluice::limit {
namespace {

using namespace test;
using namespace std::chrono_literals;
using runtime::now;
namespace this_task = runtime::this_task;

const Rule kTen = Bucket(10, 1s, 20);
const Rule kHundredAnHour = Bucket(100, 1h, 100);

Nanos nanos() {
    return now().time_since_epoch().count();
}

class JanitorTest : public runtime::InVirtualTime {
  protected:
    /// Runs `body(table, janitor)` beside a janitor, which is stopped behind it.
    template <class F>
    void beside(Janitor::Settings settings, F body) {
        run([&] {
            ClientTable table(100'000);
            Janitor janitor(table, settings);
            runtime::WaitGroup swept;
            swept.add();
            runtime::go([&] {
                janitor.run();
                swept.done();
            });
            body(table, janitor);
            janitor.stop();
            swept.wait();
        });
    }
};

TEST_F(JanitorTest, ForgetsAfterIdleAfterAtTheNextSweep) {
    beside({3min, 1min}, [](ClientTable& table, Janitor& janitor) {
        this_task::sleep_for(30s);
        table.take(client(1), 0, kTen, 1, nanos());
        std::vector<std::uint64_t> tracked;
        for (int minute = 0; minute < 5; ++minute) {
            this_task::sleep_for(1min);
            tracked.push_back(table.stats().tracked);
        }
        // Seen at 0:30; sweeps at 1:00, 2:00, 3:00, 4:00.
        EXPECT_EQ(tracked, (std::vector<std::uint64_t>{1, 1, 1, 0, 0}));
        EXPECT_EQ(janitor.stats().sweeps, 5U);
        EXPECT_EQ(janitor.stats().removed, 1U);
        EXPECT_EQ(janitor.stats().next - now(), 30s);
    });
}

TEST_F(JanitorTest, DrainingWaitingAndComingBackYieldsNoMoreThanTheRate) {
    beside({3min, 1min}, [](ClientTable& table, Janitor&) {
        int admitted = 0;
        const runtime::Time start = now();
        for (int round = 0; round < 20; ++round) {
            for (int i = 0; i < 200; ++i)
                admitted += table.take(client(1), 0, kHundredAnHour, 1, nanos()).admitted;
            this_task::sleep_for(4min + 7s);
        }
        const auto last = std::chrono::duration_cast<std::chrono::seconds>(now() - start - 4min - 7s);
        EXPECT_EQ(admitted, 100 + last.count() / 36);
        EXPECT_EQ(table.stats().evicted_idle, 0U);
    });
}

TEST_F(JanitorTest, OtherTasksRunBetweenItsSlices) {
    beside({1s, 1min}, [](ClientTable& table, Janitor& janitor) {
        for (std::uint32_t n = 0; n < 50'000; ++n) table.take(client(n), 0, kTen, 1, nanos());
        this_task::sleep_for(1min);  // the janitor was the first to wait for this minute
        int turns = 0;
        std::uint64_t before = table.stats().tracked;
        for (; janitor.stats().sweeps == 0; ++turns) {
            this_task::yield();
            const std::uint64_t tracked = table.stats().tracked;
            EXPECT_LE(before - tracked, 1100U) << "one slice";
            before = tracked;
        }
        EXPECT_GT(turns, 40);
        EXPECT_EQ(table.stats().tracked, 0U);
    });
}

TEST_F(JanitorTest, MemoryGoesBackBetweenSweepsAndNotAllAtOnce) {
    beside({1s, 1min}, [](ClientTable& table, Janitor& janitor) {
        const std::uint64_t empty = table.stats().bytes;
        for (std::uint32_t n = 0; n < 50'000; ++n) table.take(client(n), 0, kTen, 1, nanos());
        while (janitor.stats().sweeps == 0) this_task::sleep_for(1s);
        ASSERT_EQ(table.stats().tracked, 0U);
        this_task::sleep_for(59s);  // before the next sweep
        EXPECT_LT(table.stats().bytes, empty + 300'000);

        for (std::uint32_t n = 0; n < 50'000; ++n) table.take(client(n), 0, kTen, 1, nanos());
        while (janitor.stats().sweeps == 1) this_task::sleep_for(1ms);
        std::uint64_t held = table.stats().bytes;
        for (int ms = 0; ms < 20; ++ms) {
            this_task::sleep_for(1ms);
            EXPECT_LE(held - table.stats().bytes, 64U << 10);
            held = table.stats().bytes;
        }
        janitor.stop();  // in the middle of it
    });
}

TEST_F(JanitorTest, AReloadHoldsAtOnce) {
    beside({3min, 24h}, [](ClientTable& table, Janitor& janitor) {
        table.take(client(1), 0, kTen, 1, nanos());
        this_task::sleep_for(30s);
        janitor.configure({10s, 5s});  // a sweep was due long ago
        this_task::sleep_for(1s);
        EXPECT_EQ(table.stats().tracked, 0U);
        EXPECT_EQ(janitor.stats().next - now(), 4s);
        this_task::sleep_for(10s);
        EXPECT_EQ(janitor.stats().sweeps, 3U);
        janitor.configure({10s, 1h});
        this_task::sleep_for(30min);
        EXPECT_EQ(janitor.stats().sweeps, 3U);
    });
}

TEST_F(JanitorTest, ReloadsDoNotPutASweepOff) {
    beside({10s, 1min}, [](ClientTable&, Janitor& janitor) {
        for (int i = 0; i < 8; ++i) {
            this_task::sleep_for(20s + 1ms);
            janitor.configure({10s, 1min});
        }
        EXPECT_EQ(janitor.stats().sweeps, 2U);
    });
}

TEST_F(JanitorTest, StopEndsItsWaitAtOnce) {
    run([] {
        ClientTable table(1000);
        Janitor janitor(table, {3min, 24h});
        const runtime::Time start = now();
        runtime::go([&] {
            this_task::sleep_for(1s);
            janitor.stop();
        });
        janitor.run();
        EXPECT_EQ(now() - start, 1s);
    });
}

class JanitorOnWorkers : public runtime::OnWorkers {};
ON_WORKERS(JanitorOnWorkers);

TEST_P(JanitorOnWorkers, SweepsWhileTasksDecideAndNobodyGainsByIt) {
    run([] {
        ClientTable table(10'000);
        Janitor janitor(table, {0s, 100us});
        runtime::WaitGroup swept;
        swept.add();
        runtime::go([&] {
            janitor.run();
            swept.done();
        });
        const Rule bucket = Bucket(1, 1h, 10);
        int admitted = 0;
        for (int i = 0; i < 200'000; ++i) {
            admitted += table.take(client(1), 0, bucket, 1, nanos()).admitted;
            table.take(client(static_cast<std::uint32_t>(2 + i % 5000)), 1, kTen, 0, nanos());
            if (i % 100 == 0) this_task::yield();
        }
        while (janitor.stats().sweeps == 0) this_task::yield();
        EXPECT_EQ(admitted, 10);
        janitor.stop();
        swept.wait();
    });
}

}  // namespace
}  // namespace sluice::limit
