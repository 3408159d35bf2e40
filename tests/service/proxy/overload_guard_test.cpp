#include "service/proxy/overload_guard.h"

#include <atomic>
#include <cstdint>
#include <optional>

#include <gtest/gtest.h>

namespace sluice::proxy {
namespace {

TEST(OverloadGuard, ShedsFromTheHighMarkOnUntilTheLowOne) {
    const CgroupMemory memory("/nowhere", "/nowhere");
    telemetry::Log log({.level = telemetry::LogLevel::off});
    std::atomic<bool> overloaded{false};
    OverloadGuard guard(overloaded, log, memory);
    const auto observe = [&](std::uint64_t used) {
        guard.observe(MemoryUse{.used = used, .limit = 1000});
        return overloaded.load();
    };
    EXPECT_FALSE(observe(899));
    EXPECT_TRUE(observe(900));
    EXPECT_TRUE(observe(1100));
    EXPECT_TRUE(observe(850));
    EXPECT_FALSE(observe(849));
    EXPECT_FALSE(observe(899));
    EXPECT_TRUE(observe(950));
    EXPECT_EQ(guard.figures().times, 2U);
    EXPECT_EQ(guard.figures().use, (MemoryUse{.used = 950, .limit = 1000}));
    guard.observe(std::nullopt);
    EXPECT_FALSE(overloaded.load());
    EXPECT_FALSE(guard.figures().overloaded);
}

}  // namespace
}  // namespace sluice::proxy
