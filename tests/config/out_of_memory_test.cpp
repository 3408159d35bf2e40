// Wherever memory runs out, whoever reads or writes a configuration hears of it, and the process lives on.

#include <string>

#include <gtest/gtest.h>

#include "config/to_json.h"
#include "tests/config/parsing.h"
#include "tests/failing_new.h"

namespace sluice::config {
namespace {

int failures_of_reading(const std::string& text) {
    return test::failures_of([&] { (void)parse(text, "f", Environment{}); });
}

TEST(OutOfMemory, LeavesWhoeverReadsAConfigurationWithAnException) {
    EXPECT_GT(failures_of_reading(limit_with(
                  R"("rate": "1/s", "key": [ "ip", "path" ], "cost": { "by_method": { "POST": 2 } })")),
              50);
    EXPECT_GT(failures_of_reading(R"({ "upstream": "a:1", "limts": [ {} ], "timeouts": { "haed": "1s" } })"),
              50);
}

TEST(OutOfMemory, LeavesWhoeverWritesAConfigurationWithAnException) {
    const Config config = good(limit_with(R"("rate": "9/s", "cost": { "by_method": { "POST": 2 } })"));
    EXPECT_GT(test::failures_of([&] { (void)to_json(config); }), 3);
}

}  // namespace
}  // namespace sluice::config
