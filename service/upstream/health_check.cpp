#include "service/upstream/health_check.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "service/http/body.h"
#include "service/http/read_head.h"
#include "service/upstream/server.h"

namespace sluice::upstream {

namespace {

constexpr std::size_t kHeadMax = 16 * 1024;
constexpr std::uint64_t kBodyMax = 64 * 1024;
constexpr int kInterimMax = 100;

using Stream = Server::Stream;

std::string in_words(const runtime::error_code& error) {
    if (error == boost::asio::error::timed_out) return "no answer within the timeout";
    if (error == boost::asio::error::eof) return "it closed the connection without an answer";
    return error.message();
}

bool send(Stream& stream, std::string_view text, runtime::error_code& error) {
    while (!text.empty() && !error) text.remove_prefix(stream.write_some(boost::asio::buffer(text), error));
    return !error;
}

// What is left of the answer, so that a server does not see its answers reset. Says nothing about its health.
void read_body(Stream& stream, const http::ResponseHead& head, std::span<char> room, std::size_t filled) {
    http::BodyReader body(head.framing);
    runtime::error_code error;
    while (!error && !body.done() && body.bytes() < kBodyMax && body.feed(room.first(filled)) && !body.done())
        filled = stream.read_some(boost::asio::buffer(room.data(), room.size()), error);
}

}  // namespace

// Apart, and with its room on the stack only while a check runs: between two checks the stack is given back.
[[gnu::noinline]] std::optional<std::string> check_health(Server& server, const config::Health& settings) {
    const runtime::Time deadline = runtime::now() + settings.timeout;
    auto stream = server.dial(deadline);
    if (!stream && stream.error() == Error::resources) return std::nullopt;
    if (!stream) return std::string(to_string(stream.error()));
    stream->read_deadline(deadline);
    stream->write_deadline(deadline);
    runtime::error_code error;
    if (!send(*stream,
              "GET " + settings.path + " HTTP/1.1\r\nHost: " + server.authority() +
                  "\r\nUser-Agent: sluice-health\r\nConnection: close\r\n\r\n",
              error))
        return in_words(error);

    std::array<char, kHeadMax> room;
    std::size_t filled = 0;
    http::HeadScan scan;
    http::ResponseHead head;
    for (int interims = 0;;) {
        const auto size = http::read_response_head({room.data(), filled}, scan, {.bytes = kHeadMax},
                                                   http::Method::get, head);
        if (!size) return std::string(size.error().reason);
        if (*size > 0 && !head.interim()) {
            std::copy(room.begin() + *size, room.begin() + filled, room.begin());
            filled -= *size;
            break;
        }
        if (*size > 0) {
            if (++interims > kInterimMax) return "too many interim answers";
            std::copy(room.begin() + *size, room.begin() + filled, room.begin());
            filled -= *size;
            std::construct_at(&head);
            scan = http::HeadScan();
            continue;
        }
        filled += stream->read_some(boost::asio::buffer(room.data() + filled, room.size() - filled), error);
        if (error) return in_words(error);
    }
    const int status = head.status;
    if (status < 200 || status > 399)
        return "GET " + settings.path + " was answered with " + std::to_string(status);
    read_body(*stream, head, room, filled);
    return std::string();
}

}  // namespace sluice::upstream
