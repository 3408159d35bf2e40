#pragma once

// A server that runs beside a test, and clients that call it.

#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include "runtime/channel.h"
#include "runtime/go.h"
#include "runtime/semaphore.h"
#include "service/admin/server.h"
#include "tests/runtime/overtime.h"

namespace sluice::admin::test {

using namespace std::chrono_literals;

constexpr auto kPatience = 20s;

// A connection of a client that speaks as told.
class Client {
  public:
    explicit Client(const Server& server) {
        auto stream = runtime::TcpStream::connect(server.local(), runtime::now() + kPatience);
        EXPECT_TRUE(stream);
        stream_ = std::move(*stream);
        stream_.read_deadline(runtime::now() + kPatience);
        stream_.write_deadline(runtime::now() + kPatience);
    }

    void send(std::string_view text) {
        runtime::error_code error;
        boost::asio::write(stream_, boost::asio::buffer(text), error);
    }
    void finish() {
        runtime::error_code error;
        stream_.shutdown_send(error);
    }

    bool ended() { return stream_.ended(); }

    // All that comes until the server closes.
    std::string read_all() {
        std::string text;
        runtime::error_code error;
        while (!error) read_more(text, error);
        EXPECT_EQ(error, boost::asio::error::eof);
        return text;
    }

    // What comes until `end` was read.
    std::string read_until(std::string_view end) {
        std::string text;
        runtime::error_code error;
        while (!error && text.find(end) == text.npos) read_more(text, error);
        EXPECT_FALSE(error);
        return text;
    }

  private:
    void read_more(std::string& text, runtime::error_code& error) {
        char buffer[4096];
        text.append(buffer, stream_.read_some(boost::asio::buffer(buffer), error));
    }

    runtime::TcpStream stream_;
};

// server_test.cpp has its tests, of every file, run with 1, 2 and 8 workers.
class AdminServer : public ::testing::TestWithParam<unsigned> {
  protected:
    // Runs `test(server)` in a task, beside a server with these routes, and then closes the server, which
    // ends when all connections have. `test(server, finish)` does that itself, while it has streams: they are
    // not to outlive run().
    template <class Test>
    void with_server(Server::Options options, Test test) {
        runtime::TimedScheduler scheduler({.workers = GetParam()});
        telemetry::Log log({.level = telemetry::LogLevel::off});
        scheduler.run([&] {
            namespace ip = boost::asio::ip;
            auto listener = runtime::TcpListener::bind(ip::tcp::endpoint(ip::make_address("127.0.0.1"), 0));
            ASSERT_TRUE(listener);
            Server server(std::move(*listener), routes(), std::move(options), log);
            runtime::Channel<bool> ended(1);
            runtime::go([&] {
                server.run();
                ended.send(true);
            });
            bool finished = false;
            const auto finish = [&] {
                if (std::exchange(finished, true)) return;
                server.close();
                ended.receive();
            };
            if constexpr (std::invocable<Test, Server&>) {
                test(server);
            } else {
                test(server, finish);
            }
            finish();
        });
    }

    std::vector<Route> routes() {
        return {{"GET", "/held",
                 [this](const Request&) {
                     held_.release();
                     go_on_.acquire();
                     return Response{.body = "held"};
                 }},
                {"GET", "/open", [](const Request&) { return Response{.body = "open\n"}; }, true},
                {"GET", "/big", [](const Request&) { return Response{.body = std::string(3'000'000, 'x')}; }},
                {"GET", "/echo/{key}",
                 [](const Request& request) {
                     return Response{.body = request.key + "?" + request.parameter("q").value_or("-")};
                 }},
                {"POST", "/echo",
                 [](const Request& request) { return Response{.body = "<" + request.body + ">"}; }},
                {.method = "GET",
                 .path = "/door",
                 .handle = [](const Request&) { return Response{.body = "knock"}; },
                 .asks = true},
                {"GET", "/throw",
                 [](const Request&) -> Response { throw std::runtime_error("broken \"inside\""); }},
                {"GET", "/stream",
                 [](const Request&) {
                     return Response{.content_type = "text/event-stream", .stream = [](const Stream& stream) {
                                         for (int i = 0; i < 3; ++i) {
                                             EXPECT_TRUE(stream.send("data: " + std::to_string(i) + "\n\n"));
                                             EXPECT_TRUE(stream.wait_until(runtime::now() + 1ms));
                                         }
                                     }};
                 }},
                {"GET", "/endless", [](const Request&) {
                     return Response{.stream = [](const Stream& stream) {
                         stream.send("begun\n");
                         EXPECT_FALSE(stream.wait_until(runtime::now() + kPatience));
                     }};
                 }}};
    }

    runtime::Semaphore held_{0};   // how often /held was called
    runtime::Semaphore go_on_{0};  // how often it may answer
};

}  // namespace sluice::admin::test
