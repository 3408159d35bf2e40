// The work of go/runtime.go on our tasks: runtime_bench WORKERS ROW SCALE prints what one operation took in
// nanoseconds (of parked: the bytes of one task as well). One row for each process, so that none finds what
// another left behind. runtime.py runs all of them beside Go's.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/go.h"
#include "runtime/mutex.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"

namespace {

using namespace sluice::runtime;

double nanoseconds_of(auto&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

void report(const char* row, double value) {
    std::printf("%s\t%.1f\n", row, value);
}

std::int64_t resident() {
    std::int64_t size = 0;
    std::int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * ::sysconf(_SC_PAGESIZE);
}

void spawn(int n) {
    WaitGroup group;
    report("spawn", nanoseconds_of([&] {
                        group.add(static_cast<std::uint32_t>(n));
                        for (int i = 0; i < n; ++i) go([&group] { group.done(); });
                        group.wait();
                    }) / n);
}

void yield(int n) {
    WaitGroup group;
    report("yield", nanoseconds_of([&] {
                        group.add(2);
                        for (int k = 0; k < 2; ++k) {
                            go([&group, n] {
                                for (int i = 0; i < n; ++i) this_task::yield();
                                group.done();
                            });
                        }
                        group.wait();
                    }) / (2.0 * n));
}

void round_trip(int n) {
    Channel<int> ping;
    Channel<int> pong;
    WaitGroup group;
    group.add();
    report("round_trip", nanoseconds_of([&] {
                             go([&] {
                                 for (int i = 0; i < n; ++i) {
                                     ping.send(i);
                                     pong.receive();
                                 }
                                 group.done();
                             });
                             for (int i = 0; i < n; ++i) {
                                 ping.receive();
                                 pong.send(i);
                             }
                         }) / n);
    group.wait();
}

void channel(int n) {
    Channel<int> items(100);
    WaitGroup group;
    group.add();
    report("channel", nanoseconds_of([&] {
                          go([&] {
                              for (int i = 0; i < n; ++i) items.send(i);
                              items.close();
                              group.done();
                          });
                          for ([[maybe_unused]] const int item : items) {
                          }
                      }) / n);
    group.wait();
}

void mutex(int n) {
    constexpr int kTasks = 100;
    Mutex mutex;
    std::int64_t shared = 0;
    WaitGroup group;
    group.add(kTasks);
    report("mutex", nanoseconds_of([&] {
                        for (int k = 0; k < kTasks; ++k) {
                            go([&] {
                                for (int i = 0; i < n / kTasks; ++i) {
                                    std::lock_guard lock(mutex);
                                    ++shared;
                                }
                                group.done();
                            });
                        }
                        group.wait();
                    }) / n);
    if (shared != n / kTasks * kTasks) std::abort();
}

// A tree of tasks, ten branches wide, whose leaves send their number towards the root.
void grow(Channel<std::int64_t>& out, std::int64_t number, std::int64_t size) {
    if (size == 1) {
        out.send(number);
        return;
    }
    Channel<std::int64_t> in;
    for (std::int64_t i = 0; i < 10; ++i) {
        go([&in, number, size, i] { grow(in, number + i * (size / 10), size / 10); });
    }
    std::int64_t sum = 0;
    for (int i = 0; i < 10; ++i) sum += in.receive().value();
    out.send(sum);
}

void skynet(int n) {
    Channel<std::int64_t> sum;
    report("skynet", nanoseconds_of([&] {
               go([&] { grow(sum, 0, n); });
               if (sum.receive().value() != std::int64_t{n} * (n - 1) / 2) std::abort();
           }));
}

void parked(int n, const char* row, StackClass stack) {
    const std::int64_t before = resident();
    WaitGroup all_started;
    WaitGroup all_ended;
    Channel<bool> release;
    all_started.add(static_cast<std::uint32_t>(n));
    all_ended.add(static_cast<std::uint32_t>(n));
    report(row, nanoseconds_of([&] {
               for (int i = 0; i < n; ++i) {
                   go_with({.stack = stack}, [&] {
                       all_started.done();
                       release.receive();
                       all_ended.done();
                   });
               }
               all_started.wait();
           }));
    report("parked_bytes", static_cast<double>(resident() - before) / n);
    release.close();
    all_ended.wait();
}

void parked(int n) {
    parked(n, "parked", StackClass::usual);
}

void parked_small(int n) {
    parked(n, "parked_small", StackClass::small);
}

void sleeping(int n) {
    using namespace std::chrono_literals;
    WaitGroup group;
    report("sleeping", nanoseconds_of([&] {
               group.add(static_cast<std::uint32_t>(n));
               for (int i = 0; i < n; ++i) {
                   go([&] {
                       this_task::sleep_for(1s);
                       group.done();
                   });
               }
               group.wait();
           }));
}

// What the system takes for the page that a task needs at least, with no task in it: `stride` bytes from the
// next. The kernel is asked for so many at once, or hands out each when it is touched.
void touch(const char* row, int n, std::size_t stride, int at_once) {
    const std::size_t size = static_cast<std::size_t>(n) * stride;
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    ::madvise(memory, size, MADV_NOHUGEPAGE);
    auto* const pages = static_cast<char*>(memory);
    report(row, nanoseconds_of([&] {
               for (int i = 0; i < n; ++i) {
                   char* const page = pages + static_cast<std::size_t>(i) * stride;
                   if (at_once > 1 && i % at_once == 0)
                       ::madvise(page, static_cast<std::size_t>(std::min(at_once, n - i)) * stride,
                                 MADV_POPULATE_WRITE);
                   *static_cast<volatile char*>(page) = 1;
               }
           }));
    ::munmap(memory, size);
}

void touched(int n) {
    touch("touched", n, std::size_t{256} << 10, 1);
}

void touched_dense(int n) {
    touch("touched_dense", n, std::size_t{4} << 10, 16);
}

struct Row {
    void (*run)(int n);
    int n;
};

const std::map<std::string, Row> kRows{
    {"spawn", {&spawn, 2'000'000}},
    {"yield", {&yield, 2'000'000}},
    {"round_trip", {&round_trip, 2'000'000}},
    {"channel", {&channel, 2'000'000}},
    {"mutex", {&mutex, 2'000'000}},
    {"skynet", {&skynet, 1'000'000}},
    {"parked", {&parked, 1'000'000}},
    {"parked_small", {&parked_small, 1'000'000}},
    {"sleeping", {&sleeping, 1'000'000}},
    {"touched", {&touched, 1'000'000}},
    {"touched_dense", {&touched_dense, 1'000'000}},
};

}  // namespace

int main(int argc, char** argv) {
    const auto row = argc == 4 ? kRows.find(argv[2]) : kRows.end();
    const double scale = argc == 4 ? std::atof(argv[3]) : 0;
    const int workers = argc == 4 ? std::atoi(argv[1]) : 0;
    if (row == kRows.end() || scale <= 0 || workers <= 0) {
        std::fputs("usage: runtime_bench WORKERS ROW SCALE\n", stderr);
        return 2;
    }
    // Skynet wants a power of ten, and is the same at every scale.
    const int n = row->first == "skynet" ? row->second.n : static_cast<int>(row->second.n * scale);
    Scheduler scheduler({.workers = static_cast<unsigned>(workers)});
    scheduler.run([&] { row->second.run(n); });
}
