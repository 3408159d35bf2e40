#include "service/telemetry/access_log.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "runtime/go.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/overtime.h"

namespace sluice::telemetry {
namespace {

using namespace std::chrono_literals;

struct Pipe {
    Pipe() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
    ~Pipe() {
        if (ends[0] >= 0) ::close(ends[0]);
        close_writer();
    }
    void close_writer() {
        if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
    }
    // All until every writer is gone.
    std::string read_all() const {
        std::string all;
        char buffer[65536];
        for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) all.append(buffer, std::size_t(n));
        return all;
    }
    int ends[2] = {-1, -1};
};

RequestOutcome outcome(Verdict verdict) {
    return {.verdict = verdict, .client = "192.0.2.1", .method = "GET", .target = "/", .status = 200};
}

std::size_t count_lines(const std::string& text) {
    return std::size_t(std::ranges::count(text, '\n'));
}

TEST(AccessLog, WantsWhatTheConfigurationSays) {
    AccessLog log(1, {.which = AccessLogged::limited});
    EXPECT_FALSE(log.wants(outcome(Verdict::allowed)));
    EXPECT_FALSE(log.wants(outcome(Verdict::none)));
    EXPECT_TRUE(log.wants(outcome(Verdict::limited)));
    EXPECT_TRUE(log.wants(outcome(Verdict::denied)));
    EXPECT_TRUE(log.wants(outcome(Verdict::banned)));
    RequestOutcome shadow = outcome(Verdict::allowed);
    shadow.shadow_limited = true;
    EXPECT_TRUE(log.wants(shadow));
    log.configure(AccessLogged::all, LogFormat::json);
    EXPECT_TRUE(log.wants(outcome(Verdict::allowed)));
    log.configure(AccessLogged::off, LogFormat::json);
    EXPECT_FALSE(log.wants(outcome(Verdict::limited)));
}

TEST(AccessLog, WritesALineForEachRequestOfManyTasks) {
    constexpr int kTasks = 20, kEach = 50;
    Pipe pipe;
    std::string text;
    std::jthread reader([&] { text = pipe.read_all(); });
    for (const unsigned workers : {1U, 2U, 8U}) {
        runtime::TimedScheduler scheduler({.workers = workers});
        AccessLog log(scheduler.workers(), {.descriptor = pipe.ends[1]});
        scheduler.run([&] {
            runtime::WaitGroup done;
            done.add(kTasks);
            runtime::go([&] { log.run(); });
            for (int t = 0; t < kTasks; ++t) {
                runtime::go([&] {
                    for (int i = 0; i < kEach; ++i) {
                        log.write(outcome(Verdict::allowed));
                        runtime::this_task::yield();
                    }
                    done.done();
                });
            }
            done.wait();
            log.close();
        });
        EXPECT_EQ(log.lines(), std::uint64_t(kTasks * kEach));
        EXPECT_EQ(log.dropped(), 0U);
    }
    pipe.close_writer();
    reader.join();
    EXPECT_EQ(count_lines(text), std::size_t(3 * kTasks * kEach));
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
        ASSERT_TRUE(nlohmann::json::accept(text.substr(at, end - at))) << text.substr(at, end - at);
    }
}

TEST(AccessLog, DropsLinesRatherThanMakeARequestWaitAndSaysHowMany) {
    constexpr int kRequests = 5'000;  // far more than the pipe and the ring hold
    Pipe pipe;                        // nobody reads it yet
    runtime::TimedScheduler scheduler({.workers = 2});
    AccessLog log(scheduler.workers(), {.descriptor = pipe.ends[1], .buffer_bytes = 16 * 1024});
    std::string text;
    std::jthread reader;
    scheduler.run([&] {
        runtime::go([&] { log.run(); });
        for (int i = 0; i < kRequests; ++i) log.write(outcome(Verdict::allowed));
        EXPECT_GT(log.dropped(), 0U);
        reader = std::jthread([&] { text = pipe.read_all(); });
        log.close(1min);
    });
    pipe.close_writer();
    reader.join();
    EXPECT_EQ(log.lines() + log.dropped(), std::uint64_t(kRequests));
    std::uint64_t told = 0, lines = 0;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1) {
        const auto line = nlohmann::json::parse(text.substr(at, end - at));
        line["event"] == "access_log_dropped" ? told += line["lines"].get<std::uint64_t>() : ++lines;
    }
    EXPECT_EQ(lines, log.lines());
    EXPECT_EQ(told, log.dropped());
}

TEST(AccessLog, EndsInTimeWhenTheReaderHasStoppedReading) {
    Pipe pipe;
    runtime::TimedScheduler scheduler({.workers = 1});
    AccessLog log(scheduler.workers(), {.descriptor = pipe.ends[1]});
    scheduler.run([&] {
        runtime::go([&] { log.run(); });
        for (int i = 0; i < 3'000; ++i) log.write(outcome(Verdict::allowed));
        log.close(10ms);
    });
    EXPECT_GT(log.dropped(), 0U);  // it came back: with what it could not write
}

TEST(AccessLog, OutlivesAReaderThatIsGone) {
    std::signal(SIGPIPE, SIG_IGN);
    Pipe pipe;
    ::close(std::exchange(pipe.ends[0], -1));
    runtime::TimedScheduler scheduler({.workers = 1});
    AccessLog log(scheduler.workers(), {.descriptor = pipe.ends[1]});
    scheduler.run([&] {
        runtime::go([&] { log.run(); });
        for (int i = 0; i < 100; ++i) log.write(outcome(Verdict::allowed));
        log.close();
    });
    EXPECT_EQ(log.dropped(), 100U);
}

}  // namespace
}  // namespace sluice::telemetry
