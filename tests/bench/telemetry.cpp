// What it costs a worker to tell of one request.

#include "service/telemetry/telemetry.h"

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/wait_group.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;
using telemetry::RequestOutcome;
using telemetry::Verdict;

RequestOutcome forwarded() {
    return {.verdict = Verdict::allowed,
            .client = "192.0.2.1",
            .method = "GET",
            .host = "app.example.com",
            .target = "/api/v1/items?page=2&sort=name",
            .request_id = "0123456789abcdef0123456789abcdef",
            .route = 0,
            .status = 200,
            .bytes_out = 612,
            .duration = 2134us,
            .upstream = "app",
            .server = "127.0.0.1:3000",
            .upstream_duration = 2034us};
}

RequestOutcome refused() {
    return {.verdict = Verdict::limited,
            .limit = "per-ip",
            .client = "192.0.2.1",
            .method = "GET",
            .host = "app.example.com",
            .target = "/",
            .status = 429,
            .duration = 11us};
}

// Each is measured in a task, as it is called; durations vary, so that the histogram's buckets do.
template <class Measured>
void in_task(Measured measured) {
    runtime::Scheduler scheduler({.workers = 1});
    scheduler.run([&] { measured(); });
}

void account(benchmark::State& state, RequestOutcome outcome) {
    in_task([&] {
        telemetry::Counters counters(1);
        for (auto _ : state) {
            outcome.duration += 1us;
            counters.request_started();
            counters.account(outcome);
        }
        benchmark::DoNotOptimize(counters.totals().requests);
    });
}

void totals(benchmark::State& state) {
    in_task([&] {
        telemetry::Counters counters(2);
        for (auto _ : state) benchmark::DoNotOptimize(counters.totals().requests);
    });
}

// Writes to /dev/null; what the writer's thread costs is not in it.
void access_line(benchmark::State& state, const RequestOutcome& outcome, telemetry::LogFormat format) {
    const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    in_task([&] {
        telemetry::AccessLog log(1, {.format = format, .descriptor = null});
        runtime::WaitGroup writing;
        writing.add();
        runtime::go([&] {
            log.run();
            writing.done();
        });
        for (auto _ : state) log.write(outcome);
        log.close();
        writing.wait();
    });
    ::close(null);
}

BENCHMARK_CAPTURE(account, forwarded, forwarded());
BENCHMARK_CAPTURE(account, refused, refused());
BENCHMARK(totals);
BENCHMARK_CAPTURE(access_line, json, forwarded(), telemetry::LogFormat::json);
BENCHMARK_CAPTURE(access_line, json_refused, refused(), telemetry::LogFormat::json);
BENCHMARK_CAPTURE(access_line, text, forwarded(), telemetry::LogFormat::text);

}  // namespace

BENCHMARK_MAIN();
