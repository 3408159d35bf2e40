// What the schema names and is not built yet is refused in these words, and never ignored.

#include "config/supported.h"

#include <gtest/gtest.h>

#include "tests/config/parsing.h"

namespace sluice::config {
namespace {

TEST(NotBuilt, IsRefusedWhereItStands) {
    const std::tuple<std::string, const char*, const char*> rows[] = {
        {with(R"("store": { "redis": @"rediss://h:1/0", "timeout": "20ms", "on_error": "deny" })"),
         "/store/redis", "a store outside the process"},
    };
    for (const auto& [text, pointer, what] : rows)
        expect_error(text, pointer, std::string(what) + " is not supported yet");
}

TEST(NotBuilt, IsStillReadForOtherMistakes) {
    expect_error(
        limit_with(R"("rate": "1/s", "ban": { "after": 10, "within": @"1 minute", "for": "15m" })"),
        "/limits/0/ban/within",
        R"("1 minute" is not a duration (above 0 and at most 3650d, such as "250ms", "1.5s" or "1h30m"; did you mean "1m"?))");
}

}  // namespace
}  // namespace sluice::config
