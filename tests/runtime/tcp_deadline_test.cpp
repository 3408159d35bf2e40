// Deadlines of streams: virtual time jumps to them.

#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/error.hpp>
#include <unistd.h>

#include "runtime/tcp.h"
#include "runtime/this_task.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

class TcpInVirtualTime : public InVirtualTime {};

TEST_F(TcpInVirtualTime, ReadGivesUpAtItsDeadlineAndTheStreamLivesOn) {
    run([] {
        auto [left, right] = tcp_pair();
        Time start = now();
        left.read_deadline(start + 30s);
        std::array<char, 8> bytes;
        error_code error;
        EXPECT_EQ(left.read_some(asio::buffer(bytes), error), 0U);
        EXPECT_EQ(error, asio::error::timed_out);
        EXPECT_EQ(now() - start, 30s);

        left.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::timed_out) << "the deadline still stands";
        EXPECT_EQ(now() - start, 30s);

        left.read_deadline(Time::max());
        right.write_some(asio::buffer("hi", 2), error);
        EXPECT_EQ(left.read_some(asio::buffer(bytes), error), 2U);
        EXPECT_FALSE(error);
    });
}

TEST_F(TcpInVirtualTime, DeadlineMovesLaterAndEarlier) {
    run([] {
        auto [left, right] = tcp_pair();
        Time start = now();
        std::array<char, 8> bytes;
        error_code error;
        left.read_deadline(start + 10s);
        left.read_deadline(start + 40s);
        left.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::timed_out);
        EXPECT_EQ(now() - start, 40s);
        left.read_deadline(start + 500s);
        left.read_deadline(start + 60s);
        left.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::timed_out);
        EXPECT_EQ(now() - start, 60s);
    });
}

TEST_F(TcpInVirtualTime, BytesRenewADeadlineOnlyWhenTheReaderSaysSo) {
    run([] {
        auto [left, right] = tcp_pair();
        go([out = std::move(right)]() mutable {
            error_code error;
            for (int i = 0; i < 10; ++i) {
                this_task::sleep_for(4s);
                out.write_some(asio::buffer("x", 1), error);
            }
            this_task::sleep_for(60s);
        });
        Time start = now();
        left.read_deadline(start + 30s);
        std::array<char, 8> bytes;
        error_code error;
        int reads = 0;
        while (left.read_some(asio::buffer(bytes), error) != 0) ++reads;
        EXPECT_EQ(error, asio::error::timed_out);
        EXPECT_EQ(reads, 7);
        EXPECT_EQ(now() - start, 30s);
    });
}

TEST_F(TcpInVirtualTime, WriteGivesUpAtItsDeadlineWhenThePeerDoesNotRead) {
    run([] {
        auto [left, right] = tcp_pair();
        Time start = now();
        left.write_deadline(start + 30s);
        std::string bytes(1'000'000, 'x');
        error_code error;
        while (!error) left.write_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::timed_out);
        EXPECT_EQ(now() - start, 30s);
    });
}

TEST_F(TcpInVirtualTime, ConnectGivesUpAtItsDeadline) {
    run([] {
        RawSocket listener(raw_listener(loopback(0), 0));
        Endpoint endpoint = raw_local(listener.descriptor);
        std::vector<TcpStream> queued;  // fill the backlog, so that the kernel leaves further ones unanswered
        Time start = now();
        for (;;) {
            auto stream = TcpStream::connect(endpoint, now() + 5s);
            if (!stream) {
                EXPECT_EQ(stream.error(), asio::error::timed_out);
                break;
            }
            queued.push_back(std::move(*stream));
            ASSERT_LT(queued.size(), 100U);
        }
        EXPECT_EQ(now() - start, 5s);
    });
}

TEST_F(TcpInVirtualTime, ConnectToAUnixSocketWithAFullBacklogGivesUpAtItsDeadline) {
    run([] {
        std::string path = temporary_path("full.sock");
        RawSocket listener(raw_listener(unix_endpoint(path), 0));
        std::vector<TcpStream> queued;
        for (;;) {
            auto stream = TcpStream::connect(unix_endpoint(path), now() + 5s);
            if (!stream) {
                EXPECT_EQ(stream.error(), asio::error::timed_out);
                break;
            }
            queued.push_back(std::move(*stream));
            ASSERT_LT(queued.size(), 100U);
        }
        ::unlink(path.c_str());
    });
}

// A Unix socket reports nothing when its listener has room again: it is asked.
TEST_F(TcpInVirtualTime, ConnectToAFullUnixSocketEndsAtTheTasksDeadline) {
    run([] {
        const std::string path = temporary_path("full");
        const RawSocket listener(raw_listener(unix_endpoint(path), 0));
        const auto first = TcpStream::connect(unix_endpoint(path), kNever);
        ASSERT_TRUE(first);
        const Time began = now();
        const this_task::DeadlineScope within(began + 500ms);
        EXPECT_EQ(TcpStream::connect(unix_endpoint(path), kNever).error(), asio::error::timed_out);
        EXPECT_GE(now() - began, 500ms);
        ::unlink(path.c_str());
    });
}

}  // namespace
}  // namespace sluice::runtime
