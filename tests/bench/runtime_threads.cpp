// The rows of runtime.cpp that make sense with a thread for each task: runtime_threads_bench ROW SCALE. What
// lightweight tasks are measured against by those who have none.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <latch>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

namespace {

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

// What one writes without channels: a queue, a mutex, two conditions.
class Queue {
  public:
    explicit Queue(std::size_t capacity) : capacity_(capacity) {}

    void send(int value) {
        std::unique_lock lock(mutex_);
        not_full_.wait(lock, [&] { return items_.size() < capacity_; });
        items_.push_back(value);
        lock.unlock();
        not_empty_.notify_one();
    }
    int receive() {
        std::unique_lock lock(mutex_);
        not_empty_.wait(lock, [&] { return !items_.empty(); });
        const int value = items_.front();
        items_.pop_front();
        lock.unlock();
        not_full_.notify_one();
        return value;
    }

  private:
    const std::size_t capacity_;
    std::mutex mutex_;
    std::condition_variable not_full_;
    std::condition_variable not_empty_;
    std::deque<int> items_;
};

void spawn(int n) {
    report("spawn", nanoseconds_of([&] {
                        for (int i = 0; i < n; ++i) std::jthread([] {});
                    }) / n);
}

void yield(int n) {
    report("yield", nanoseconds_of([&] {
                        const auto body = [n] {
                            for (int i = 0; i < n; ++i) std::this_thread::yield();
                        };
                        std::jthread one(body);
                        std::jthread two(body);
                    }) / (2.0 * n));
}

void round_trip(int n) {
    Queue ping(1);
    Queue pong(1);
    std::jthread other([&] {
        for (int i = 0; i < n; ++i) {
            ping.send(i);
            pong.receive();
        }
    });
    report("round_trip", nanoseconds_of([&] {
                             for (int i = 0; i < n; ++i) {
                                 ping.receive();
                                 pong.send(i);
                             }
                         }) / n);
}

void channel(int n) {
    Queue items(100);
    std::jthread sender([&] {
        for (int i = 0; i < n; ++i) items.send(i);
    });
    report("channel", nanoseconds_of([&] {
                          for (int i = 0; i < n; ++i) items.receive();
                      }) / n);
}

void mutex(int n) {
    constexpr int kThreads = 100;
    std::mutex mutex;
    std::int64_t shared = 0;
    report("mutex", nanoseconds_of([&] {
                        std::vector<std::jthread> threads;
                        for (int k = 0; k < kThreads; ++k) {
                            threads.emplace_back([&] {
                                for (int i = 0; i < n / kThreads; ++i) {
                                    std::lock_guard lock(mutex);
                                    ++shared;
                                }
                            });
                        }
                    }) / n);
    if (shared != n / kThreads * kThreads) std::abort();
}

void parked(int n) {
    const std::int64_t before = resident();
    std::latch started(n);
    std::latch release(1);
    std::vector<std::jthread> threads;
    report("parked", nanoseconds_of([&] {
               for (int i = 0; i < n; ++i) {
                   threads.emplace_back([&] {
                       started.count_down();
                       release.wait();
                   });
               }
               started.wait();
           }));
    report("parked_bytes", static_cast<double>(resident() - before) / n);
    release.count_down();
}

struct Row {
    void (*run)(int n);
    int n;
};

// Fewer than of tasks: the system allows some ten thousand threads, and what is counted is each.
const std::map<std::string, Row> kRows{
    {"spawn", {&spawn, 50'000}},        {"yield", {&yield, 500'000}},   {"round_trip", {&round_trip, 50'000}},
    {"channel", {&channel, 1'000'000}}, {"mutex", {&mutex, 2'000'000}}, {"parked", {&parked, 5'000}},
};

}  // namespace

int main(int argc, char** argv) {
    const auto row = argc == 3 ? kRows.find(argv[1]) : kRows.end();
    const double scale = argc == 3 ? std::atof(argv[2]) : 0;
    if (row == kRows.end() || scale <= 0) {
        std::fputs("usage: runtime_threads_bench ROW SCALE\n", stderr);
        return 2;
    }
    row->second.run(static_cast<int>(row->second.n * scale));
}
