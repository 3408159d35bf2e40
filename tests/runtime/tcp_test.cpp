#include "runtime/tcp.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <sys/socket.h>

#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "tests/runtime/on_workers.h"
#include "tests/runtime/sockets.h"

namespace sluice::runtime {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using testing::Test;

static_assert(boost::beast::is_sync_stream<TcpStream>::value);
static_assert(sizeof(TcpStream) <= 40);

class TcpTest : public OnWorkers {};
ON_WORKERS(TcpTest);

std::string read_exactly(TcpStream& stream, std::size_t size, error_code& error) {
    std::string bytes(size, '\0');
    bytes.resize(asio::read(stream, asio::buffer(bytes), error));
    return bytes;
}

// Echoes until the peer ends its direction.
void echo(TcpStream stream) {
    std::array<char, 4096> bytes;
    error_code error;
    while (std::size_t n = stream.read_some(asio::buffer(bytes), error)) {
        asio::write(stream, asio::buffer(bytes.data(), n), error);
    }
    EXPECT_EQ(error, asio::error::eof);
}

// Packets that bring a farewell and the end of the stream.
unsigned packets_of_a_farewell(bool end_follows, bool half) {
    auto [here, there] = tcp_pair();
    const unsigned before = segments_received(here.native_handle());
    error_code error;
    if (end_follows) there.end_follows();
    asio::write(there, asio::buffer(std::string("farewell")), error);
    half ? there.shutdown_send(error) : there.close();
    EXPECT_FALSE(error) << error.message();
    EXPECT_EQ(read_exactly(here, 8, error), "farewell");
    EXPECT_EQ(read_exactly(here, 1, error), "");
    EXPECT_EQ(error, asio::error::eof);
    return segments_received(here.native_handle()) - before;
}

TEST_P(TcpTest, AnEndThatFollowsGoesAlongWithTheLastBytes) {
    run([] {
        for (const bool half : {false, true}) {
            EXPECT_EQ(packets_of_a_farewell(false, half), 2U);
            EXPECT_EQ(packets_of_a_farewell(true, half), 1U);
        }
    });
}

TEST_P(TcpTest, TenThousandExchangesOver64Connections) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        WaitGroup server;
        server.add();
        go([&] {
            while (auto stream = listener.accept()) go(echo, std::move(*stream));
            server.done();
        });
        constexpr int kConnections = 64;
        constexpr int kExchanges = 10'000;
        WaitGroup clients;
        std::atomic<int> exchanges = 0;
        for (int client = 0; client < kConnections; ++client) {
            clients.add();
            go([&, client] {
                auto stream = TcpStream::connect(listener.local(), now() + 30s).value();
                stream.read_deadline(now() + 60s);
                std::string message = "client " + std::to_string(client) + std::string(client, '.');
                error_code error;
                while (exchanges++ < kExchanges) {
                    asio::write(stream, asio::buffer(message), error);
                    EXPECT_EQ(read_exactly(stream, message.size(), error), message) << error.message();
                }
                clients.done();
            });
        }
        clients.wait();
        EXPECT_GE(exchanges, kExchanges);
        listener.close();
        server.wait();
    });
}

TEST_P(TcpTest, UnixSocketsAreStreamsToo) {
    run([] {
        std::string path = temporary_path("echo.sock");
        {
            auto listener = TcpListener::bind(unix_endpoint(path)).value();
            go([&] {
                auto client = TcpStream::connect(unix_endpoint(path), now() + 30s).value();
                error_code error;
                asio::write(client, asio::buffer("ping", 4), error);
                client.shutdown_send(error);
                EXPECT_EQ(read_exactly(client, 4, error), "ping");
            });
            echo(listener.accept().value());
            EXPECT_EQ(::access(path.c_str(), F_OK), 0);
            EXPECT_EQ(TcpListener::bind(unix_endpoint(path)).error(), asio::error::address_in_use);
        }
        EXPECT_NE(::access(path.c_str(), F_OK), 0) << "the path outlived its listener";
    });
}

TEST_P(TcpTest, UnixPathOfADeadListenerIsTakenOver) {
    run([] {
        std::string path = temporary_path("dead.sock");
        ::close(raw_listener(unix_endpoint(path)));
        EXPECT_EQ(::access(path.c_str(), F_OK), 0);
        EXPECT_TRUE(TcpListener::bind(unix_endpoint(path)).has_value());
    });
}

TEST_P(TcpTest, ManyBytesArriveWholeThroughSmallBuffers) {
    run([] {
        auto [left, right] = stream_pair();
        constexpr std::size_t kSize = 3'000'001;
        std::string sent(kSize, '\0');
        for (std::size_t i = 0; i < kSize; ++i) sent[i] = static_cast<char>(i * 2654435761U >> 13);
        go([&, out = std::move(left)]() mutable {
            error_code error;
            // Thirty buffers, more than one call gathers.
            std::vector<asio::const_buffer> parts;
            for (std::size_t at = 0; at < kSize; at += kSize / 30)
                parts.push_back(asio::buffer(sent.data() + at, std::min(kSize / 30, kSize - at)));
            EXPECT_EQ(asio::write(out, parts, error), kSize);
            EXPECT_FALSE(error);
        });
        error_code error;
        EXPECT_TRUE(read_exactly(right, kSize, error) == sent);
        EXPECT_EQ(right.read_some(asio::buffer(sent), error), 0U);
        EXPECT_EQ(error, asio::error::eof);
    });
}

// The end arrives with the bytes: the short read must not be taken for "nothing more will come".
TEST_P(TcpTest, EndThatCameWithTheBytesIsSeenAfterAShortRead) {
    run([] {
        for (int round = 0; round < 50; ++round) {
            auto [left, right] = tcp_pair();
            go([out = std::move(left), round]() mutable {
                if (round % 2 == 0) this_task::yield();
                error_code error;
                out.write_some(asio::buffer("last words"), error);
                out.close();
            });
            if (round % 3 == 0) this_task::yield();
            right.read_deadline(now() + 30s);
            std::array<char, 100> bytes;
            error_code error;
            EXPECT_EQ(right.read_some(asio::buffer(bytes), error), sizeof("last words"));
            EXPECT_EQ(right.read_some(asio::buffer(bytes), error), 0U);
            EXPECT_EQ(error, asio::error::eof);
        }
    });
}

TEST_P(TcpTest, OneTaskReadsWhileAnotherWrites) {
    run([] {
        auto [left, right] = tcp_pair();
        go(echo, std::move(right));
        constexpr std::size_t kSize = 2'000'000;
        WaitGroup writer;
        writer.add();
        go([&, &out = left] {
            error_code failed;
            asio::write(out, asio::buffer(std::string(kSize, 'x')), failed);
            out.shutdown_send(failed);
            writer.done();
        });
        error_code error;
        EXPECT_EQ(read_exactly(left, kSize, error), std::string(kSize, 'x'));
        writer.wait();
    });
}

TEST_P(TcpTest, EmptyBuffersReturnAtOnce) {
    run([] {
        auto [left, right] = tcp_pair();
        error_code error = asio::error::eof;
        EXPECT_EQ(left.read_some(asio::mutable_buffer(), error), 0U);
        EXPECT_FALSE(error);
        EXPECT_EQ(left.write_some(asio::const_buffer(), error), 0U);
        EXPECT_FALSE(error);
    });
}

TEST_P(TcpTest, ErrorsAreThrownByTheOverloadsWithoutACode) {
    run([] {
        auto [left, right] = tcp_pair();
        right.close();
        std::array<char, 8> bytes;
        EXPECT_THROW(left.read_some(asio::buffer(bytes)), boost::system::system_error);
    });
}

TEST_P(TcpTest, OperationsOnAClosedStreamFail) {
    run([] {
        TcpStream stream;
        std::array<char, 8> bytes;
        error_code error;
        stream.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::bad_descriptor);
        stream.write_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::bad_descriptor);
        stream.cancel();
        stream.rouse();
        EXPECT_FALSE(stream.has_unread_event());
    });
}

TEST_P(TcpTest, CancelFromAThreadAbortsTheReadAndTheNext) {
    run([] {
        auto [left, right] = tcp_pair();
        std::jthread canceller([&stream = left] { stream.cancel(); });
        std::array<char, 8> bytes;
        error_code error;
        left.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::operation_aborted);
        left.write_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::operation_aborted);
        left.wait_readable(error);
        EXPECT_EQ(error, asio::error::operation_aborted);
    });
}

TEST_P(TcpTest, ResetIsSeenByThePeer) {
    run([] {
        auto [left, right] = tcp_pair();
        left.reset();
        EXPECT_FALSE(left.is_open());
        std::array<char, 8> bytes;
        error_code error;
        right.read_some(asio::buffer(bytes), error);
        EXPECT_EQ(error, asio::error::connection_reset);
    });
}

TEST_P(TcpTest, ReportsItsAddresses) {
    run([] {
        auto listener = TcpListener::bind(loopback(0)).value();
        auto client = TcpStream::connect(listener.local(), now() + 30s).value();
        Endpoint from;
        auto server = listener.accept(from).value();
        EXPECT_EQ(client.peer().value(), listener.local());
        EXPECT_EQ(server.local().value(), listener.local());
        EXPECT_EQ(from, client.local().value());
        EXPECT_EQ(server.peer().value(), from);
    });
}

TEST_P(TcpTest, NoDelayIsOnForBothSides) {
    run([] {
        auto [left, right] = tcp_pair();
        EXPECT_EQ(no_delay(left.native_handle()), 1);
        EXPECT_EQ(no_delay(right.native_handle()), 1);
    });
}

TEST_P(TcpTest, UnreadEventTellsThatAnIdlePeerHasGone) {
    run([] {
        auto [left, right] = tcp_pair();
        EXPECT_FALSE(left.has_unread_event());
        right.close();
        left.read_deadline(now() + 30s);
        error_code error;
        left.wait_readable(error);
        EXPECT_FALSE(error);
        EXPECT_TRUE(left.has_unread_event());
    });
}

TEST_P(TcpTest, ConnectToAClosedPortIsRefused) {
    run([] {
        Endpoint endpoint = TcpListener::bind(loopback(0)).value().local();
        EXPECT_EQ(TcpStream::connect(endpoint, now() + 30s).error(), asio::error::connection_refused);
        EXPECT_EQ(TcpStream::connect(unix_endpoint("/nonexistent/socket"), now() + 30s).error(),
                  boost::system::errc::no_such_file_or_directory);
    });
}

}  // namespace
}  // namespace sluice::runtime
