// The work of go/limit.go on our table of clients: limit_bench ROW CLIENTS THREADS prints what was measured.
// One row for each process, so that none finds what another left behind. limit.py runs all of them beside
// Go's.
//
// Each decision reads the clock, as Go's do, and makes its key from an address.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/limit/client_table.h"
#include "service/limit/janitor.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;

constexpr int kDecisions = 3'000'000;
const limit::Rule kBucket = limit::Bucket(10, 1s, 20);

limit::Nanos now() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

void report(const char* row, double value) {
    std::printf("%s\t%.3f\n", row, value);
}

std::int64_t resident() {
    std::int64_t size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
}

/// As a connection has it: in binary. Go's text is made beforehand.
limit::Address address(std::size_t i) {
    return {0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0xff,
            0xff,
            static_cast<std::uint8_t>(10 + (i >> 24)),
            static_cast<std::uint8_t>(i >> 16),
            static_cast<std::uint8_t>(i >> 8),
            static_cast<std::uint8_t>(i)};
}

struct Work {
    explicit Work(std::size_t clients) : count(clients), table(clients) {}

    bool decide(std::size_t client) {
        return table.take(limit::ClientKey::of_address(address(client), {}), 0, kBucket, 1, now()).admitted;
    }
    void see_all() {
        for (std::size_t i = 0; i < count; ++i) decide(i);
    }

    std::size_t count;
    limit::ClientTable table;
};

std::uint64_t next_random(std::uint64_t& x) {
    x ^= x << 13;
    x ^= x >> 7;
    return x ^= x << 17;
}

void hot(std::size_t, unsigned) {
    Work work(1);
    for (int i = 0; i < kDecisions; ++i) work.decide(0);
    const limit::Nanos began = now();
    for (int i = 0; i < kDecisions; ++i) work.decide(0);
    report("hot", static_cast<double>(now() - began) / kDecisions);
}

/// The decision alone: what the clock adds is the difference to `hot`.
void decision(std::size_t, unsigned) {
    Work work(1);
    const auto key = limit::ClientKey::of_address(address(0), {});
    const limit::Nanos began = now();
    for (int i = 0; i < kDecisions; ++i) work.table.take(key, 0, kBucket, 1, began + 10 * i);
    report("decision", static_cast<double>(now() - began) / kDecisions);
}

void first(std::size_t count, unsigned) {
    Work work(count);
    const std::int64_t before = resident();
    limit::Nanos longest = 0, last = now();
    const limit::Nanos began = last;
    for (std::size_t i = 0; i < count; ++i) {
        work.decide(i);
        if (i % 8 != 0) continue;
        const limit::Nanos at = now();
        longest = std::max(longest, at - last);
        last = at;
    }
    const limit::Nanos ended = now();
    report("first", static_cast<double>(ended - began) / static_cast<double>(count));
    report("bytes", static_cast<double>(resident() - before) / static_cast<double>(count));
    report("longest_first", static_cast<double>(longest) / 1e3);
}

void random(std::size_t count, unsigned threads) {
    Work work(count);
    work.see_all();
    std::vector<std::thread> all;
    const limit::Nanos began = now();
    for (unsigned t = 0; t < threads; ++t)
        all.emplace_back([&, x = std::uint64_t{t * 7919 + 12345}]() mutable {
            for (int i = 0; i < kDecisions; ++i) work.decide(next_random(x) % count);
        });
    for (auto& thread : all) thread.join();
    report("random", 1e3 * kDecisions * threads / static_cast<double>(now() - began));
}

/// What no table can decide without about a client at random: one read of as much memory as a table takes,
/// at a place that the read before it told. There is no table in it.
void read(std::size_t count, unsigned) {
    struct alignas(64) Line {
        Line* next = nullptr;
    };
    std::vector<Line> lines(count * 48 / sizeof(Line) + 1);
    std::vector<std::uint32_t> order(lines.size());
    std::iota(order.begin(), order.end(), 0U);
    std::uint64_t x = 12345;
    for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[next_random(x) % i]);
    for (std::size_t i = 0; i < order.size(); ++i)
        lines[order[i]].next = &lines[order[(i + 1) % order.size()]];  // one ring of all
    const Line* at = lines.data();
    const limit::Nanos began = now();
    for (int i = 0; i < kDecisions; ++i) at = at->next;
    report("read", static_cast<double>(now() - began) / kDecisions);
    if (at == nullptr) std::abort();  // it is looked at
}

/// The longest time from one decision to the next, of a task that yields behind each, while the janitor
/// removes all.
void sweep(std::size_t count, unsigned workers) {
    Work work(count);
    work.see_all();
    limit::Nanos longest = 0;
    runtime::Scheduler({.workers = workers}).run([&] {
        limit::Janitor janitor(work.table, {0s, 3s});  // by then all buckets are full again
        runtime::WaitGroup ended;
        ended.add();
        runtime::go([&] {
            janitor.run();
            ended.done();
        });
        std::uint64_t x = 12345;
        while (work.table.stats().evicted_idle == 0) {
            work.decide(0);
            runtime::this_task::sleep_for(1ms);
        }
        for (limit::Nanos last = now(); janitor.stats().sweeps == 0;) {
            work.decide(next_random(x) % 64);
            runtime::this_task::yield();
            const limit::Nanos at = now();
            longest = std::max(longest, at - last);
            last = at;
        }
        report("swept", static_cast<double>(janitor.stats().removed) / static_cast<double>(count));
        janitor.stop();
        ended.wait();
    });
    report("sweep", static_cast<double>(longest) / 1e3);
}

// The clients with odd numbers leave.
bool leaves(std::size_t client) {
    return client % 2 != 0;
}

limit::Nanos p999(std::vector<limit::Nanos>& all) {
    const auto at = all.begin() + static_cast<std::ptrdiff_t>(all.size() * 999 / 1000);
    std::ranges::nth_element(all, at);
    return *at;
}

/// One decision in a thousand takes longer than this, of clients at random that stay: without a sweep, and
/// while the janitor removes the others. Reading the clock is in it.
void tail(std::size_t count, unsigned workers) {
    Work work(count);
    for (std::size_t i = 0; i < count; ++i)
        work.table.take(limit::ClientKey::of_address(address(i), {}), 0, kBucket, 1,
                        now() - (leaves(i) ? limit::Nanos{600'000'000'000} : 0));
    runtime::Scheduler({.workers = workers}).run([&] {
        std::uint64_t x = 12345;
        std::vector<limit::Nanos> took;
        const auto decide = [&] {
            for (int i = 0; i < 256; ++i) {
                const std::size_t client = next_random(x) % count & ~std::size_t{1};
                const limit::Nanos began = now();
                work.decide(client);
                took.push_back(now() - began);
            }
            runtime::this_task::yield();
        };
        while (took.size() < kDecisions) decide();
        report("tail_without", static_cast<double>(p999(took)) / 1e3);
        took.clear();
        limit::Janitor janitor(work.table, {5min, 0s});
        runtime::WaitGroup ended;
        ended.add();
        runtime::go([&] {
            janitor.run();
            ended.done();
        });
        while (janitor.stats().sweeps == 0) decide();
        janitor.stop();
        ended.wait();
        report("tail_with", static_cast<double>(p999(took)) / 1e3);
        report("tail_swept",
               static_cast<double>(work.table.stats().evicted_idle) / static_cast<double>(count));
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::map<std::string, void (*)(std::size_t, unsigned)> rows = {
        {"hot", hot},   {"decision", decision}, {"first", first}, {"random", random},
        {"read", read}, {"sweep", sweep},       {"tail", tail}};
    const auto row = argc == 4 ? rows.find(argv[1]) : rows.end();
    if (row == rows.end()) {
        std::fputs("usage: limit_bench hot|decision|first|random|read|sweep|tail CLIENTS THREADS\n", stderr);
        return 2;
    }
    row->second(std::strtoul(argv[2], nullptr, 10),
                static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10)));
}
