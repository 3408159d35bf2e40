#include "service/commands/admin_client.h"

#include <vector>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

namespace sluice::commands {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Endpoint = asio::generic::stream_protocol::endpoint;

constexpr std::string_view kUnix = "unix:";
constexpr std::size_t kBodyMax = 64 << 20;

// HOST:PORT at its last colon, an IPv6 address in brackets.
std::expected<std::vector<Endpoint>, std::string> resolve(asio::io_context& io, std::string_view address) {
    if (address.starts_with(kUnix)) {
        const std::string_view path = address.substr(kUnix.size());
        if (path.empty() || path.size() > 107) return std::unexpected("not the path of a socket");
        return std::vector<Endpoint>{asio::local::stream_protocol::endpoint(path)};
    }
    const std::size_t colon = address.rfind(':');
    if (colon == address.npos) return std::unexpected("not an address: HOST:PORT is one");
    std::string_view host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    error_code error;
    const auto found = asio::ip::tcp::resolver(io).resolve(host, address.substr(colon + 1), error);
    if (error) return std::unexpected(error.message());
    std::vector<Endpoint> endpoints;
    for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
    return endpoints;
}

// One exchange, each step with its own turn of the event loop: the stream's timeout covers asynchronous
// operations only.
class Exchange {
  public:
    Exchange(asio::io_context& io, std::chrono::milliseconds timeout)
        : io_(io), stream_(io), deadline_(std::chrono::steady_clock::now() + timeout) {}

    // Each address with a socket of its own: the families differ (localhost is ::1 and 127.0.0.1), and a
    // socket that failed to connect is not to be used again.
    error_code connect(const std::vector<Endpoint>& endpoints) {
        error_code error = asio::error::host_not_found;
        for (const Endpoint& endpoint : endpoints) {
            stream_.close();
            stream_.expires_at(deadline_);
            error = step([&](auto done) { stream_.async_connect(endpoint, done); });
            if (!error || error == beast::error::timeout) break;
        }
        return error;
    }

    error_code send(const http::request<http::empty_body>& request) {
        return step([&](auto done) { http::async_write(stream_, request, done); });
    }

    error_code receive(http::response_parser<http::string_body>& parser) {
        return step([&](auto done) { http::async_read(stream_, buffer_, parser, done); });
    }

  private:
    template <class Start>
    error_code step(Start start) {
        error_code result;
        start([&result](error_code error, auto&&...) { result = error; });
        io_.restart();
        io_.run();
        return result;
    }

    asio::io_context& io_;
    beast::basic_stream<asio::generic::stream_protocol> stream_;
    const std::chrono::steady_clock::time_point deadline_;
    beast::flat_buffer buffer_;
};

std::string_view host_field(std::string_view address) {
    return address.starts_with(kUnix) ? "localhost" : address;
}

}  // namespace

std::expected<Answer, std::string> get(std::string_view address, std::string_view path,
                                       std::string_view token, std::chrono::milliseconds timeout) {
    const auto failed = [&](std::string_view what) {
        return std::unexpected(std::string(address).append(": ").append(what));
    };
    asio::io_context io(1);
    const auto endpoints = resolve(io, address);
    if (!endpoints) return failed(endpoints.error());

    http::request<http::empty_body> request(http::verb::get, path, 11);
    request.set(http::field::host, host_field(address));
    request.set(http::field::connection, "close");
    if (!token.empty()) request.set(http::field::authorization, std::string("Bearer ").append(token));

    Exchange exchange(io, timeout);
    http::response_parser<http::string_body> parser;
    parser.body_limit(kBodyMax);
    error_code error = exchange.connect(*endpoints);
    if (!error) error = exchange.send(request);
    if (!error) error = exchange.receive(parser);
    if (error) return failed(error.message());
    return Answer{parser.get().result_int(), std::move(parser.get().body())};
}

}  // namespace sluice::commands
