#include "service/admin/connection.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include <boost/asio/write.hpp>

#include "service/http/body.h"
#include "service/http/date.h"
#include "service/http/read_head.h"
#include "service/http/reply.h"

namespace sluice::admin {
namespace {

// Room for a head and a body, and for what a chunked body has besides its data.
constexpr std::size_t kBufferBytes = Server::kHeadBytesMax + Server::kBodyBytesMax + 1024;
constexpr std::size_t kLingerBytesMax = 64 * 1024;
constexpr auto kLinger = std::chrono::seconds(1);

constexpr http::HeadLimits kHeadLimits{
    .bytes = Server::kHeadBytesMax, .fields = 100, .body = Server::kBodyBytesMax};
constexpr http::BodyLimits kBodyLimits{.bytes = Server::kBodyBytesMax};

// Figures are true for a moment, and none of it is for other sites to embed or sniff.
constexpr std::string_view kCommonFields =
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n";

std::string field_lines(const Response& response) {
    std::string lines(kCommonFields);
    for (const auto& [name, value] : response.fields)
        lines.append(name).append(": ").append(value).append("\r\n");
    return lines + response.lines;
}

}  // namespace

Server::Connection::Connection(runtime::TcpStream stream, const runtime::Endpoint& caller,
                               const Options& options)
    : options_(options), caller_(caller), stream_(std::move(stream)), bytes_(new char[kBufferBytes]) {}

void Server::Connection::serve(const Respond& respond) {
    while (serve_one(respond)) {
    }
}

void Server::Connection::turn_away() {
    runtime::error_code error;
    stream_.write_deadline(runtime::now());
    stream_.write_some(boost::asio::buffer(http::kOverloaded), error);
}

// One call and its answer. False: the connection is to end.
bool Server::Connection::serve_one(const Respond& respond) {
    http::RequestHead head;
    std::string body;
    const auto size = receive_head(head);
    const auto end = size ? receive_body(head, *size, body) : size;
    if (!end) {
        const auto* const refusal = std::get_if<http::Refusal>(&end.error());
        return refusal && refuse(*refusal, head);
    }
    Request request;
    request.method = head.method_text;
    request.query = head.query;
    request.body = std::move(body);
    request.fields = &head.fields;
    request.target = head.target;
    request.caller = &caller_;
    request.caller_left = [this] { return stream_.ended(); };
    auto path =
        options_.for_others ? std::optional<std::string>(head.path) : percent_decoded(head.path, false);
    const bool readable = path && (options_.for_others || percent_decoded(head.query, false));
    if (path) request.path = std::move(*path);
    const Response response =
        readable ? respond(request) : problem(400, "the path or the query has a broken percent-escape");
    const bool keep = head.keep_alive && !last_.load();
    if (!send(response, head, keep)) return false;
    std::memmove(bytes_.get(), bytes_.get() + *end, filled_ - *end);
    filled_ -= *end;
    auto busy = State::busy;
    state_.compare_exchange_strong(busy, State::idle);
    return keep && !last_.load();  // answer_once() may have come behind the answer's head
}

Server::Connection::Received<std::size_t> Server::Connection::receive_head(http::RequestHead& head) {
    http::HeadScan scan;
    bool begun = filled_ > 0;
    if (begun && !begin()) return std::unexpected(Gone{});
    stream_.read_deadline(runtime::now() + (begun ? options_.receive : options_.idle));
    while (true) {
        const auto size = http::read_request_head({bytes_.get(), filled_}, scan, kHeadLimits, head);
        if (!size) return std::unexpected(size.error());
        if (*size > 0) return *size;
        if (!receive_more()) return std::unexpected(Gone{});
        if (std::exchange(begun, true)) continue;
        if (!begin()) return std::unexpected(Gone{});
        stream_.read_deadline(runtime::now() + options_.receive);
    }
}

// False: the connection was ended while it idled.
bool Server::Connection::begin() {
    auto idle = State::idle;
    return state_.compare_exchange_strong(idle, State::busy) || idle == State::busy;
}

// Returns where in the buffer the body ends: what is behind it belongs to the next call.
Server::Connection::Received<std::size_t> Server::Connection::receive_body(const http::RequestHead& head,
                                                                           std::size_t at,
                                                                           std::string& body) {
    http::BodyReader reader(head.framing, kBodyLimits);
    if (!reader.done() && head.expect_continue && !send_bytes(http::kContinue))
        return std::unexpected(Gone{});
    while (!reader.done()) {
        if (at == filled_) {
            if (filled_ == kBufferBytes) return std::unexpected(http::Refusal{413, "the body is too large"});
            if (!receive_more()) return std::unexpected(Gone{});
        }
        const auto piece = reader.feed({bytes_.get() + at, filled_ - at});
        if (!piece) return std::unexpected(piece.error());
        body.append(piece->data.data(), piece->data.size());
        at += piece->consumed;
    }
    return at;
}

bool Server::Connection::receive_more() {
    runtime::error_code error;
    filled_ += stream_.read_some(boost::asio::buffer(bytes_.get() + filled_, kBufferBytes - filled_), error);
    return !error;
}

bool Server::Connection::refuse(const http::Refusal& refusal, const http::RequestHead& head) {
    if (send(problem(static_cast<unsigned>(refusal.status), refusal.reason), head, false)) linger();
    return false;
}

bool Server::Connection::send(const Response& response, const http::RequestHead& head, bool keep_alive) {
    stream_.write_deadline(runtime::now() + options_.send);
    if (response.stream) return send_stream(response, head.method == http::Method::head);
    const std::string extra = field_lines(response);
    http::DateText date;
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    std::vector<char> room(response.body.size() + extra.size() + 1024);
    return send_bytes(http::write_reply({.status = static_cast<int>(response.status),
                                         .content_type = response.content_type,
                                         .extra = extra,
                                         .date = date.at(now),
                                         .body = response.body,
                                         .keep_alive = keep_alive,
                                         .minor = head.minor,
                                         .to_head = head.method == http::Method::head},
                                        room));
}

// Ends with the connection: nothing needs to be framed.
bool Server::Connection::send_stream(const Response& response, bool to_head) {
    std::string start = "HTTP/1.1 200 OK\r\nContent-Type: " + response.content_type +
                        "\r\nConnection: close\r\n" + field_lines(response) + "\r\n";
    if (!send_bytes(start) || to_head) return false;
    state_.store(State::streams);
    response.stream({.send =
                         [this](std::string_view piece) {
                             stream_.write_deadline(runtime::now() + options_.send);
                             return send_bytes(piece);
                         },
                     .wait_until = [this](runtime::Time when) { return wait_until(when); }});
    return false;
}

// Waits by reading, so that it hears at once when the client leaves or cancel() is called. What the client
// sends meanwhile is read over: nothing follows a streamed answer.
bool Server::Connection::wait_until(runtime::Time when) {
    runtime::error_code error;
    stream_.read_deadline(when);
    while (!error) stream_.read_some(boost::asio::buffer(bytes_.get(), kBufferBytes), error);
    return error == boost::asio::error::timed_out;
}

bool Server::Connection::send_bytes(std::string_view bytes) {
    runtime::error_code error;
    boost::asio::write(stream_, boost::asio::buffer(bytes), error);
    return !error;
}

// Closing with bytes unread would make the kernel send a reset, which may overtake the answer (RFC 9112
// §9.6).
void Server::Connection::linger() {
    runtime::error_code error;
    stream_.shutdown_send(error);
    stream_.read_deadline(runtime::now() + kLinger);
    for (std::size_t left = kLingerBytesMax; !error && left > 0;) {
        const std::size_t n = stream_.read_some(boost::asio::buffer(bytes_.get(), kBufferBytes), error);
        left -= std::min(n, left);
    }
}

}  // namespace sluice::admin
