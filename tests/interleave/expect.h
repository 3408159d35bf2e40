#pragma once

#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include "tests/interleave/explorer.h"

namespace sluice::runtime::interleave {

inline void expect_correct(const char* what, const Exploration& found) {
    EXPECT_EQ(found.bug, "") << what;
    EXPECT_TRUE(found.complete) << what << ": gave up after " << found.schedules << " schedules";
    std::printf("%s: %llu schedules\n", what, static_cast<unsigned long long>(found.schedules));
    testing::Test::RecordProperty(what, std::to_string(found.schedules));
}

}  // namespace sluice::runtime::interleave
