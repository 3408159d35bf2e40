// Streams that doze: idle connections without a task.

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "runtime/semaphore.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class DozeTest : public OnWorkers {};
ON_WORKERS(DozeTest);
class DozeInVirtualTime : public InVirtualTime {};

// A connection between two requests.
struct Sleeper : Dormant {
    explicit Sleeper(TcpStream s) : Dormant(&woken), stream(std::move(s)) {}

    static void woken(Dormant& dormant, Wake why) {
        auto& self = static_cast<Sleeper&>(dormant);
        self.why = why;
        self.since = this_task::since();
        ++self.times;
        self.awake.release();
    }

    TcpStream stream;
    Semaphore awake{0};
    std::optional<Wake> why;
    Time since{};
    std::atomic<int> times = 0;
};

// A request is judged by that time: it must not lie before the request.
TEST_P(DozeTest, ItsTaskIsSinceItsEventWasFound) {
    run([] {
        for (int i = 0; i < 200; ++i) {
            auto [left, right] = tcp_pair();
            Sleeper sleeper(std::move(left));
            ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
            if (i % 2 == 0) this_task::sleep_for(1ms);  // its worker is asleep, or busy with us
            error_code error;
            const Time before = now();
            right.write_some(asio::buffer("hello", 5), error);
            sleeper.awake.acquire();
            EXPECT_GE(sleeper.since, before);
            EXPECT_LE(sleeper.since, now());
        }
    });
}

TEST_P(DozeTest, BytesWakeItInANewTask) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
        error_code error;
        right.write_some(asio::buffer("hello", 5), error);
        sleeper.awake.acquire();
        EXPECT_EQ(sleeper.why, Wake::readable);
        std::array<char, 16> bytes;
        EXPECT_EQ(sleeper.stream.read_some(asio::buffer(bytes), error), 5U);
    });
}

TEST_P(DozeTest, EndOfTheStreamWakesIt) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
        right.close();
        sleeper.awake.acquire();
        EXPECT_EQ(sleeper.why, Wake::readable);
        std::array<char, 16> bytes;
        error_code error;
        sleeper.stream.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::eof);
    });
}

TEST_P(DozeTest, RouseAndCancelWakeIt) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        sleeper.stream.rouse();  // not asleep: nothing
        for (int round = 0; round < 10; ++round) {
            ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
            sleeper.stream.rouse();
            sleeper.awake.acquire();
            EXPECT_EQ(sleeper.why, Wake::roused);
            sleeper.stream.rouse();
        }
        ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
        sleeper.stream.cancel();
        sleeper.awake.acquire();
        EXPECT_EQ(sleeper.why, Wake::roused);
        EXPECT_FALSE(sleeper.stream.doze(sleeper, kNever)) << "cancelled for good";
        EXPECT_EQ(sleeper.times, 11);
    });
}

TEST_P(DozeTest, UnreadBytesKeepItAwake) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        error_code error;
        right.write_some(asio::buffer("two halves", 10), error);
        sleeper.stream.wait_readable(error);
        EXPECT_FALSE(sleeper.stream.doze(sleeper, kNever));
        std::array<char, 5> half;
        sleeper.stream.read_some(asio::buffer(half), error);
        EXPECT_FALSE(sleeper.stream.doze(sleeper, kNever))
            << "a read that filled its buffer may have left some";
        sleeper.stream.read_some(asio::buffer(half), error);
        EXPECT_TRUE(sleeper.stream.doze(sleeper, kNever)) << "both halves were read";
        sleeper.stream.rouse();
        sleeper.awake.acquire();
    });
}

// Woken without having read anything, it must not go to sleep over the bytes whose event woke it.
TEST_P(DozeTest, BytesThatWokeItAreNotForgottenWhenItDozesAgain) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        ASSERT_TRUE(sleeper.stream.doze(sleeper, kNever));
        error_code error;
        right.write_some(asio::buffer("x", 1), error);
        sleeper.awake.acquire();
        EXPECT_FALSE(sleeper.stream.doze(sleeper, kNever));
    });
}

TEST_F(DozeInVirtualTime, DeadlineWakesItAndTheStreamLivesOn) {
    run([] {
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        Time start = now();
        ASSERT_TRUE(sleeper.stream.doze(sleeper, start + 60s));
        sleeper.awake.acquire();
        EXPECT_EQ(sleeper.why, Wake::deadline);
        EXPECT_EQ(now() - start, 60s);

        ASSERT_TRUE(sleeper.stream.doze(sleeper, start + 120s));
        this_task::sleep_until(start + 90s);
        error_code error;
        right.write_some(asio::buffer("x", 1), error);
        sleeper.awake.acquire();
        EXPECT_EQ(sleeper.why, Wake::readable);
        this_task::sleep_until(start + 300s);
        EXPECT_EQ(sleeper.times, 2);
    });
}

// Bytes, a rouse and a deadline at once: it wakes once, and with nothing lost.
TEST_P(DozeTest, WakesOnceWhateverRaces) {
    run([] {
        constexpr int kRounds = 200;
        auto [left, right] = tcp_pair();
        Sleeper sleeper(std::move(left));
        int received = 0;
        error_code error;
        for (int round = 0; round < kRounds; ++round) {
            WaitGroup others;
            others.add(2);
            const bool dozes = sleeper.stream.doze(sleeper, now() + std::chrono::microseconds(round % 50));
            go([&] {
                error_code failed;
                right.write_some(asio::buffer("x", 1), failed);
                others.done();
            });
            go([&] {
                sleeper.stream.rouse();
                others.done();
            });
            if (dozes) sleeper.awake.acquire();
            others.wait();
            std::array<char, 1> byte;
            received += static_cast<int>(sleeper.stream.read_some(asio::buffer(byte), error));
        }
        EXPECT_EQ(received, kRounds);
        EXPECT_FALSE(sleeper.awake.try_acquire()) << "woken twice";
    });
}

TEST_P(DozeTest, ConnectionsHoldNoTask) {
    run([] {
        std::vector<std::unique_ptr<Sleeper>> sleepers;
        std::vector<TcpStream> peers;
        for (int i = 0; i < 400; ++i) {
            auto [left, right] = stream_pair();
            sleepers.push_back(std::make_unique<Sleeper>(std::move(left)));
            peers.push_back(std::move(right));
            ASSERT_TRUE(sleepers.back()->stream.doze(*sleepers.back(), now() + 60s));
        }
        EXPECT_EQ(counters(*Scheduler::current()).live, 1U);
        error_code error;
        for (TcpStream& peer : peers) peer.write_some(asio::buffer("x", 1), error);
        for (auto& sleeper : sleepers) {
            sleeper->awake.acquire();
            EXPECT_EQ(sleeper->why, Wake::readable);
        }
    });
}

// As a drain does it: whoever rouses may hold a lock that those who wake want.
TEST_P(DozeTest, ToRouseManyParksNobody) {
    struct Idle : Dormant {
        Idle(TcpStream s, std::mutex& l, WaitGroup& a)
            : Dormant(&woken), stream(std::move(s)), lock(l), awake(a) {}
        static void woken(Dormant& dormant, Wake) {
            auto& self = static_cast<Idle&>(dormant);
            {
                const std::scoped_lock hold(self.lock);
            }
            self.awake.done();
        }
        TcpStream stream;
        std::mutex& lock;
        WaitGroup& awake;
    };
    run([] {
        std::mutex lock;
        WaitGroup awake;
        std::vector<TcpStream> peers;
        std::vector<std::unique_ptr<Idle>> all;
        for (int i = 0; i < 200; ++i) {
            auto [left, right] = tcp_pair();
            peers.push_back(std::move(right));
            all.push_back(std::make_unique<Idle>(std::move(left), lock, awake));
            awake.add();
            ASSERT_TRUE(all.back()->stream.doze(*all.back(), kNever));
        }
        {
            const std::scoped_lock hold(lock);
            for (auto& each : all) each->stream.rouse();
        }
        awake.wait();
    });
}

// A worker naps while others run tasks too brief to be worth stealing, and wakes by its own sockets alone.
TEST(Doze, WhatIsWokenWhileItsWorkerNapsIsRunAtOnce) {
    TimedScheduler scheduler({.workers = 2});
    scheduler.run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        std::vector<TcpStream> peers;
        std::vector<std::unique_ptr<Sleeper>> sleepers;  // one with each worker, as accept() deals them out
        for (int i = 0; i < 2; ++i) {
            peers.push_back(TcpStream::connect(listener.local(), kNever).value());
            sleepers.push_back(std::make_unique<Sleeper>(listener.accept().value()));
        }
        for (int round = 0; round < 50; ++round) {
            for (auto& sleeper : sleepers) ASSERT_TRUE(sleeper->stream.doze(*sleeper, kNever));
            WaitGroup brief;
            for (int i = 0; i < 20'000; ++i) {
                brief.add();
                go([&] { brief.done(); });
            }
            brief.wait();
            error_code error;
            for (TcpStream& peer : peers) peer.write_some(asio::buffer("x", 1), error);
            const Time written = now();
            for (auto& sleeper : sleepers) {
                // The deadline would wake the worker that sleeps over it.
                ASSERT_TRUE(sleeper->awake.try_acquire_until(written + 20s));
                ASSERT_LT(now() - written, 15s) << "round " << round;
                char byte = 0;
                sleeper->stream.read_some(asio::buffer(&byte, 1), error);
            }
        }
    });
}

}  // namespace
}  // namespace sluice::runtime
