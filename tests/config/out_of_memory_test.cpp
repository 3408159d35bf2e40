// Wherever memory runs out, whoever reads a configuration hears of it, and the process lives on.

#include <new>
#include <string>

#include <gtest/gtest.h>

#include "tests/config/parsing.h"
#include "tests/failing_new.h"

namespace sluice::config {
namespace {

/// How often reading it failed for want of memory, until there was enough.
int failures_of(const std::string& text) {
    for (int n = 1;; ++n) {
        test::allocations_left = n;
        try {
            (void)parse(text, "f", Environment{});
            const bool enough = test::allocations_left > 0;
            test::allocations_left = 0;
            if (enough) return n - 1;
        } catch (const std::bad_alloc&) {
            test::allocations_left = 0;
        }
    }
}

TEST(OutOfMemory, LeavesWhoeverReadsAConfigurationWithAnException) {
    EXPECT_GT(failures_of(limit_with(
                  R"("rate": "1/s", "key": [ "ip", "path" ], "cost": { "by_method": { "POST": 2 } })")),
              50);
    EXPECT_GT(failures_of(R"({ "upstream": "a:1", "limts": [ {} ], "timeouts": { "haed": "1s" } })"), 50);
}

}  // namespace
}  // namespace sluice::config
