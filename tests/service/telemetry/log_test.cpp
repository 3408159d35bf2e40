#include "service/telemetry/log.h"

#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace sluice::telemetry {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// What `use` logs: read once the log is gone, for then all of it is written.
template <class Use>
std::vector<std::string> lines_of(Log::Options options, Use use) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    options.descriptor = ends[1];
    {
        Log log(options);
        use(log);
    }
    ::close(ends[1]);
    std::vector<std::string> lines(1);
    for (char c; ::read(ends[0], &c, 1) == 1;) c == '\n' ? lines.emplace_back() : lines.back() += c;
    ::close(ends[0]);
    EXPECT_EQ(lines.back(), "");
    lines.pop_back();
    return lines;
}

TEST(Log, WritesFieldsAsJson) {
    const auto lines = lines_of({}, [](Log& log) {
        log.warn("server \"ejected\"",
                 {{"server", "10.0.0.7:3000"}, {"failures", 5}, {"share", 0.5}, {"all", true}});
    });
    ASSERT_EQ(lines.size(), 1U);
    json line = json::parse(lines[0]);
    EXPECT_EQ(line.at("time").get<std::string>().size(), std::string("2026-11-24T02:03:04.056Z").size());
    line.erase("time");
    EXPECT_EQ(line,
              json::parse(R"({"level": "warn", "message": "server \"ejected\"", "server": "10.0.0.7:3000",
                                    "failures": 5, "share": 0.5, "all": true})"));
}

TEST(Log, WritesFieldsAsText) {
    const auto lines = lines_of({.format = LogFormat::text}, [](Log& log) {
        log.info("listening", {{"address", "0.0.0.0:8080"}, {"note", "two words"}, {"workers", 2U}});
    });
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0].substr(lines[0].find(' ')),
              " info listening address=0.0.0.0:8080 note=\"two words\" workers=2");
}

TEST(Log, LeavesOutWhatIsBelowItsLevelUntilToldOtherwise) {
    const auto lines = lines_of({.level = LogLevel::warn}, [](Log& log) {
        log.info("one");
        log.error("two");
        log.configure(LogLevel::debug, LogFormat::json);
        log.debug("three");
        log.configure(LogLevel::off, LogFormat::json);
        log.error("four");
    });
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(json::parse(lines[0]).at("message"), "two");
    EXPECT_EQ(json::parse(lines[1]).at("message"), "three");
}

TEST(Log, StaysOneValidLineHoweverLongAndStrangeItsValues) {
    const std::string strange(10'000, '\x01');
    const auto lines = lines_of({}, [&](Log& log) {
        log.error(strange, {{"a", strange},
                            {"b", strange},
                            {"c", strange},
                            {"d", strange},
                            {"e", strange},
                            {"f", strange},
                            {"g", strange},
                            {"h", strange},
                            {"i", strange},
                            {"j", strange}});
    });
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_TRUE(json::accept(lines[0]));
    EXPECT_LT(lines[0].size(), 8192U);
}

TEST(Log, DoesNotMakeItsCallersWaitForAStuckReader) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    std::string text;
    std::jthread reader;
    {
        Log log({.descriptor = ends[1]});
        for (int i = 0; i < 5'000; ++i)
            log.info("line", {{"i", i}});  // 300 KB into a pipe of 64 KiB that nobody reads
        reader = std::jthread([&] {
            char buffer[4096];
            for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
                text.append(buffer, std::size_t(n));
        });
    }
    ::close(ends[1]);
    reader.join();
    ::close(ends[0]);
    EXPECT_NE(text.find("\"i\":4999"), text.npos);  // the oldest give way, not the newest
}

TEST(Throttle, LetsOneThroughEachIntervalAndCountsTheRest) {
    const runtime::Time start{};
    Throttle throttle(1min);
    EXPECT_EQ(throttle.permit(start), 0U);
    EXPECT_EQ(throttle.permit(start), std::nullopt);
    EXPECT_EQ(throttle.permit(start + 59s), std::nullopt);
    EXPECT_EQ(throttle.permit(start + 60s), 2U);
    EXPECT_EQ(throttle.permit(start + 61s), std::nullopt);
    EXPECT_EQ(throttle.permit(start + 10min), 1U);
}

}  // namespace
}  // namespace sluice::telemetry
