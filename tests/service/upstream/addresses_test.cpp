#include "service/upstream/addresses.h"

#include <chrono>
#include <string>
#include <vector>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>

#include "runtime/task_group.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"

namespace sluice::upstream {
namespace {

using namespace std::chrono_literals;
using runtime::Endpoint;
using Answer = std::expected<std::vector<Endpoint>, runtime::error_code>;

Endpoint at(int last) {
    return boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address("10.0.0." + std::to_string(last)),
                                          3000);
}

config::Address name() {
    return {.text = "app:3000", .host = "app", .port = 3000, .unix_path = ""};
}

// A name server that says what it is told to, in virtual time.
class Names : public runtime::InVirtualTime {
  protected:
    Resolve resolve() {
        return [this](const std::string& host, std::uint16_t port, runtime::Duration patience,
                      const std::function<void()>& late) -> Answer {
            EXPECT_EQ(host, "app");
            EXPECT_EQ(port, 3000);
            ++asked;
            const runtime::Time end = runtime::now() + takes;
            if (takes > patience) {
                runtime::this_task::sleep_for(patience);
                if (!runtime::this_task::cancelled()) late();
            }
            runtime::this_task::sleep_until(end);
            return answer;
        };
    }
    Addresses::Tell tell() {
        return [this](Addresses::News what, std::string_view) { news.push_back(what); };
    }
    // Runs `body` while the name is being looked up.
    template <class Body>
    void looking_up(Body body) {
        run([&] {
            Addresses addresses(name());
            runtime::TaskGroup group;
            group.go([&] { addresses.keep_looking_up(resolve(), tell()); });
            body(addresses);
            group.cancel();
        });
    }

    Answer answer = std::vector{at(1)};
    runtime::Duration takes = 50ms;
    int asked = 0;
    std::vector<Addresses::News> news;
};

std::vector<Endpoint> now_at(Addresses& addresses) {
    return addresses.in_turn(runtime::now() + 1s).value_or(std::vector<Endpoint>{});
}

TEST_F(Names, InDigitsAreNeverLookedUp) {
    EXPECT_TRUE(
        Addresses({.text = "127.0.0.1:80", .host = "127.0.0.1", .port = 80, .unix_path = ""}).fixed());
    EXPECT_TRUE(Addresses({.text = "[::1]:80", .host = "::1", .port = 80, .unix_path = ""}).fixed());
    EXPECT_TRUE(Addresses({.text = "unix:/a", .host = "", .port = 0, .unix_path = "/a"}).fixed());
    EXPECT_FALSE(Addresses(name()).fixed());
}

TEST_F(Names, TheFirstRequestWaitsForTheFirstAnswer) {
    looking_up([&](Addresses& addresses) {
        const runtime::Time start = runtime::now();
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        EXPECT_GE(runtime::now() - start, takes);
        const runtime::Time later = runtime::now();
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        EXPECT_EQ(runtime::now(), later) << "and no other waits";
    });
}

TEST_F(Names, ARequestWaitsNoLongerThanItMay) {
    takes = 5s;
    looking_up([&](Addresses& addresses) {
        const auto got = addresses.in_turn(runtime::now() + 1s);
        ASSERT_FALSE(got);
        EXPECT_EQ(got.error(), Error::timeout);
    });
}

TEST_F(Names, AllAddressesAreUsedInTurn) {
    answer = std::vector{at(3), at(1), at(2), at(1)};
    looking_up([&](Addresses& addresses) {
        std::vector<Endpoint> firsts;
        for (int i = 0; i < 6; ++i) {
            const auto all = now_at(addresses);
            ASSERT_EQ(all.size(), 3U) << "one that is named twice counts once";
            firsts.push_back(all.front());
        }
        EXPECT_EQ(firsts, (std::vector{at(1), at(2), at(3), at(1), at(2), at(3)}));
    });
}

TEST_F(Names, AreLookedUpAgainAfterHalfAMinute) {
    looking_up([&](Addresses& addresses) {
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        const std::uint32_t version = addresses.version();
        answer = std::vector{at(2)};
        runtime::this_task::sleep_for(29s);
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        EXPECT_EQ(asked, 1);
        runtime::this_task::sleep_for(2s);
        EXPECT_EQ(now_at(addresses), std::vector{at(2)});
        EXPECT_EQ(asked, 2);
        EXPECT_NE(addresses.version(), version);
        EXPECT_FALSE(addresses.contain(at(1))) << "connections to where it was are not used again";
        EXPECT_TRUE(addresses.contain(at(2)));
        EXPECT_EQ(news, std::vector{Addresses::News::moved});
    });
}

TEST_F(Names, AnotherOrderIsNoMove) {
    answer = std::vector{at(1), at(2)};
    looking_up([&](Addresses& addresses) {
        EXPECT_EQ(now_at(addresses).size(), 2U);
        const std::uint32_t version = addresses.version();
        answer = std::vector{at(2), at(1)};
        runtime::this_task::sleep_for(100s);
        EXPECT_EQ(asked, 4);
        EXPECT_EQ(addresses.version(), version);
        EXPECT_TRUE(news.empty());
    });
}

TEST_F(Names, ThatStopResolvingKeepTheirAddressesAndAreTold) {
    looking_up([&](Addresses& addresses) {
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        answer = std::unexpected(runtime::error_code(boost::asio::error::host_not_found));
        runtime::this_task::sleep_for(60s);
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        EXPECT_EQ(news, std::vector{Addresses::News::failed}) << "once, however often it is tried";
        EXPECT_EQ(asked, 6) << "it is tried after 1, 2, 4 and 8 seconds";
        answer = std::vector{at(1)};
        runtime::this_task::sleep_for(2s);
        EXPECT_EQ(news, (std::vector{Addresses::News::failed, Addresses::News::recovered}));
    });
}

TEST_F(Names, ThatNeverResolvedFailAtOnceUntilTheyDo) {
    answer = std::unexpected(runtime::error_code(boost::asio::error::host_not_found));
    looking_up([&](Addresses& addresses) {
        EXPECT_EQ(addresses.in_turn(runtime::now() + 1s).error(), Error::lookup);
        const runtime::Time start = runtime::now();
        EXPECT_EQ(addresses.in_turn(runtime::now() + 1s).error(), Error::lookup);
        EXPECT_EQ(runtime::now(), start);
        answer = std::vector{at(1)};
        runtime::this_task::sleep_for(2s);
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
    });
}

TEST_F(Names, ThatSomebodyAsksForAreTriedEverySecond) {
    answer = std::unexpected(runtime::error_code(boost::asio::error::host_not_found));
    looking_up([&](Addresses& addresses) {
        for (int i = 0; i < 300; ++i) {
            EXPECT_EQ(addresses.in_turn(runtime::now() + 1s).error(), Error::lookup);
            runtime::this_task::sleep_for(100ms);
        }
        EXPECT_GE(asked, 25);
        EXPECT_LE(asked, 31);
    });
}

TEST_F(Names, ThatTakeTooLongFailAndAreNotAskedForTwiceAtATime) {
    takes = 25s;
    looking_up([&](Addresses& addresses) {
        runtime::this_task::sleep_for(9s);
        EXPECT_EQ(addresses.in_turn(runtime::now() + 500ms).error(), Error::timeout);
        const runtime::Time start = runtime::now();
        EXPECT_EQ(addresses.in_turn(runtime::now() + 5s).error(), Error::lookup);
        EXPECT_LT(runtime::now() - start, 600ms) << "nobody waits for it beyond its ten seconds";
        EXPECT_EQ(news, std::vector{Addresses::News::failed});
        runtime::this_task::sleep_for(14s);
        EXPECT_EQ(asked, 1);
        runtime::this_task::sleep_for(2s);
        EXPECT_EQ(now_at(addresses), std::vector{at(1)}) << "an answer is one, however late";
        EXPECT_EQ(news, (std::vector{Addresses::News::failed, Addresses::News::recovered}));
    });
}

// Each keeps a place that others could have.
TEST_F(Names, WhoseServersAreSilentAreTriedLessOftenThoughSomebodyAsks) {
    takes = 15s;
    answer = std::unexpected(runtime::error_code(boost::asio::error::host_not_found_try_again));
    looking_up([&](Addresses& addresses) {
        runtime::this_task::sleep_for(11s);
        const runtime::Time end = runtime::now() + 300s;
        while (runtime::now() < end) {
            EXPECT_EQ(addresses.in_turn(runtime::now() + 1s).error(), Error::lookup);
            runtime::this_task::sleep_for(1s);
        }
        EXPECT_EQ(asked, 10) << "15 s each, then 1, 2, 4, 8, 16, and 30 s";
        EXPECT_EQ(news, std::vector{Addresses::News::failed});
    });
}

TEST_F(Names, InDoubtAreLookedUpSoon) {
    looking_up([&](Addresses& addresses) {
        EXPECT_EQ(now_at(addresses), std::vector{at(1)});
        runtime::this_task::sleep_for(5s);
        EXPECT_EQ(asked, 1);
        addresses.doubt();
        addresses.doubt();
        runtime::this_task::sleep_for(1s);
        EXPECT_EQ(asked, 2);
        for (int i = 0; i < 100; ++i) {
            addresses.doubt();
            runtime::this_task::sleep_for(10ms);
        }
        EXPECT_LE(asked, 4) << "once a second at most";
    });
}

}  // namespace
}  // namespace sluice::upstream
