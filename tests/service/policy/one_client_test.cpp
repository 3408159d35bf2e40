#include "service/policy/one_client.h"

#include <vector>

#include "tests/service/policy/house.h"

namespace sluice::policy {
namespace {

using namespace test;

const limit::Address kProxy = address("10.0.0.1");
constexpr std::uint32_t kWindow = OneClient::kWindow;

limit::Address other(std::uint32_t n) {
    return address("2001:db8::" + std::to_string(n % 10000));
}

struct Watched {
    /// A window in which `of_one` of the requests are of `one`, spread evenly, and each other of a client of
    /// its own.
    void window(std::uint32_t of_one, const limit::Address& one = kProxy) {
        for (std::uint32_t i = 0; i < kWindow; ++i) {
            const bool turn = (i + 1) * of_one / kWindow != i * of_one / kWindow;
            request(turn ? one : other(i));
        }
    }
    void request(const limit::Address& client) {
        ++requests;
        if (const auto now = watch.count(client)) {
            EXPECT_EQ(requests % kWindow, 0u) << "only the last of a window tells";
            found.push_back(*now);
        }
    }
    OneClient watch;
    std::uint32_t requests = 0;
    std::vector<OneClient::Found> found;
};

TEST(OneClient, WhoHasNineTenthsOfTwoWindowsIsFoundAtTheEndOfTheSecond) {
    Watched watched;
    watched.window(900);
    EXPECT_TRUE(watched.found.empty());
    watched.window(900);
    ASSERT_EQ(watched.found.size(), 1u);
    EXPECT_EQ(watched.found[0].client, kProxy);
    EXPECT_EQ(watched.found[0].requests, 900u);
}

TEST(OneClient, OneRequestLessIsNotEnough) {
    Watched watched;
    for (int i = 0; i < 10; ++i) watched.window(899);
    EXPECT_TRUE(watched.found.empty());
}

TEST(OneClient, EightyFivePercentIsNotEnough) {
    Watched watched;
    for (int i = 0; i < 10; ++i) watched.window(850);
    EXPECT_TRUE(watched.found.empty());
}

TEST(OneClient, TwoClientsInTurnAreNotOne) {
    Watched watched;
    for (std::uint32_t i = 0; i < 10 * kWindow; ++i) watched.request(i % 2 == 0 ? kProxy : other(1));
    EXPECT_TRUE(watched.found.empty());
}

TEST(OneClient, ManyClientsAreNotOne) {
    Watched watched;
    for (std::uint32_t i = 0; i < 10 * kWindow; ++i) watched.request(other(i));
    EXPECT_TRUE(watched.found.empty());
}

TEST(OneClient, TheCountIsThatOfTheSecondWindowAlone) {
    for (const std::uint32_t second : {900u, 901u, 987u, 1000u}) {
        Watched watched;
        watched.window(1000);
        watched.window(second);
        ASSERT_EQ(watched.found.size(), 1u);
        EXPECT_EQ(watched.found[0].requests, second);
    }
}

TEST(OneClient, AMajorityIsSuspectedWhereverItsRequestsStand) {
    for (const bool first : {true, false}) {
        Watched watched;
        for (std::uint32_t i = 0; i < kWindow; ++i)
            watched.request((first ? i : kWindow - 1 - i) <= kWindow / 2 ? kProxy : other(i));
        watched.window(950);
        EXPECT_EQ(watched.found.size(), 1u) << "501 of them are a majority";
    }
}

TEST(OneClient, ItIsToldOfEachWindowForAsLongAsItLasts) {
    Watched watched;
    for (int i = 0; i < 4; ++i) watched.window(950);
    watched.window(500);
    watched.window(1000, other(7));
    EXPECT_EQ(watched.found.size(), 3u);
    watched.window(1000, other(7));
    ASSERT_EQ(watched.found.size(), 4u);
    EXPECT_EQ(watched.found[3].client, other(7));
}

}  // namespace
}  // namespace sluice::policy
