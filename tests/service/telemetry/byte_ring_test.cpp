#include "service/telemetry/byte_ring.h"

#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace sluice::telemetry {
namespace {

std::string take_all(ByteRing& ring) {
    std::string taken;
    while (!ring.front().empty()) {
        const auto piece = ring.front();
        taken.append(piece.data(), piece.size());
        ring.pop(piece.size());
    }
    return taken;
}

TEST(ByteRing, TakesAMessageWholeOrNotAtAll) {
    ByteRing ring(8);
    EXPECT_TRUE(ring.push("abcde"));
    EXPECT_FALSE(ring.push("fghi"));
    EXPECT_TRUE(ring.push("fgh"));
    EXPECT_FALSE(ring.push("i"));
    EXPECT_EQ(take_all(ring), "abcdefgh");
    EXPECT_TRUE(ring.push("12345678"));
}

TEST(ByteRing, KeepsBytesInOrderAroundItsEnd) {
    ByteRing ring(8);
    std::string sent, taken;
    for (int i = 0; i < 100; ++i) {
        const std::string message = std::to_string(i) + ";";
        ASSERT_TRUE(ring.push(message));
        sent += message;
        if (i % 2 == 1) taken += take_all(ring);
    }
    EXPECT_EQ(taken, sent);
}

TEST(ByteRing, KnowsWhenMoreThanHalfIsTaken) {
    ByteRing ring(8);
    EXPECT_TRUE(ring.push("1234"));
    EXPECT_FALSE(ring.over_half());
    EXPECT_TRUE(ring.push("5"));
    EXPECT_TRUE(ring.over_half());
    ring.pop(1);
    EXPECT_FALSE(ring.over_half());
}

TEST(ByteRing, PassesEveryByteFromOneThreadToAnother) {
    constexpr int kMessages = 200'000;
    ByteRing ring(64);
    std::jthread producer([&] {
        for (int i = 0; i < kMessages;) {
            if (ring.push(std::to_string(i) + "\n")) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::string partial;
    int expected = 0;
    while (expected < kMessages) {
        partial += take_all(ring);
        std::size_t from = 0;
        for (std::size_t end; (end = partial.find('\n', from)) != partial.npos; from = end + 1) {
            ASSERT_EQ(partial.substr(from, end - from), std::to_string(expected));
            ++expected;
        }
        partial.erase(0, from);
        std::this_thread::yield();
    }
}

}  // namespace
}  // namespace sluice::telemetry
