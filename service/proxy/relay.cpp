#include "service/proxy/relay.h"

#include <array>

#include <boost/asio/error.hpp>

#include "runtime/this_task.h"
#include "service/proxy/write_all.h"

namespace sluice::proxy {

namespace {

iovec piece(std::string_view text) {
    return {const_cast<char*>(text.data()), text.size()};
}

}  // namespace

Relay::Result Relay::begin(std::string_view head, std::span<char> data, runtime::Time now) {
    return send(head, data, body_.done(), now);
}

Relay::Result Relay::pump(std::span<char> buffer) {
    for (unsigned pieces = 1; !done_; ++pieces) {
        // Where neither end keeps us waiting, others wait for the worker.
        if (pieces % kPiecesInARow == 0) runtime::this_task::yield();
        runtime::error_code error;
        const std::size_t n = read(buffer, error);
        if (error == boost::asio::error::eof && body_.may_end() && !from_.was_reset)
            return send({}, {}, true, runtime::now());
        if (error) return std::unexpected(read_failure(error));
        if (auto sent = take(buffer.first(n), runtime::now()); !sent) return sent;
    }
    return {};
}

// An upload need not watch the upstream: the task that waits for the answer hears of it.
std::size_t Relay::read(std::span<char> room, runtime::error_code& error) {
    const runtime::Time now = runtime::now();
    if (to_.whose == Source::client) {
        return read_watching(from_.stream, room, [&] { return now + from_.stall; }, to_.stream, now, error);
    }
    from_.stream.read_deadline(now + from_.stall);
    return from_.stream.read_some(boost::asio::buffer(room.data(), room.size()), error);
}

Relay::Result Relay::take(std::span<char> raw, runtime::Time now) {
    const auto piece = body_.feed(raw);
    if (!piece) {
        const bool ours = from_.whose == Source::client;
        return std::unexpected(Failure{
            .stage = ours ? Stage::read_body : Stage::relay,
            .source = from_.whose,
            .status = ours ? piece.error().status : 0,
            .reason = piece.error().reason,
            .upstream = ours ? telemetry::UpstreamFailure::none : telemetry::UpstreamFailure::invalid});
    }
    left_ = raw.subspan(piece->consumed);
    if (piece->data.empty() && !piece->done) return {};
    return send({}, piece->data, piece->done, now);
}

Relay::Result Relay::send(std::string_view head, std::span<char> data, bool last, runtime::Time now) {
    const http::ChunkPrefix prefix(data.size());
    std::array<iovec, 7> pieces;
    std::size_t count = 0;
    if (!head.empty()) pieces[count++] = piece(head);
    if (framing_ == Framing::chunked) {
        if (!data.empty()) {
            pieces[count++] = piece(prefix.text());
            pieces[count++] = {data.data(), data.size()};
            pieces[count++] = piece(http::kCrlf);
        }
        if (last) {
            pieces[count++] = piece(http::kLastChunk);
            if (!body_.trailers().empty()) pieces[count++] = piece(body_.trailers());
            pieces[count++] = piece(http::kCrlf);
        }
    } else if (!data.empty()) {
        pieces[count++] = {data.data(), data.size()};
    }
    runtime::error_code error;
    if (last && to_.slots != nullptr) to_.slots->give_back();
    if (last && to_.ends) to_.stream.end_follows();
    if (count > 0) write_all(to_.stream, std::span(pieces).first(count), now, to_.stall, error);
    if (error) {
        met_reset_ = error == boost::asio::error::connection_reset;
        return std::unexpected(write_failure(error));
    }
    begun_ = true;
    done_ = last;
    return {};
}

Failure Relay::read_failure(const runtime::error_code& error) const {
    using telemetry::UpstreamFailure;
    if (error == boost::asio::error::connection_aborted && to_.whose == Source::client) {
        return client_gone(Stage::relay);
    }
    const bool late = error == boost::asio::error::timed_out;
    if (from_.whose == Source::client) {
        if (!late) return client_gone(Stage::read_body);
        return {.stage = Stage::read_body,
                .source = Source::client,
                .status = 408,
                .reason = "the body did not come within timeouts.body"};
    }
    return {.stage = Stage::relay,
            .source = Source::upstream,
            .status = 0,
            .reason = late ? "the body stood still for stall_timeout" : "the body was cut short",
            .upstream = late ? UpstreamFailure::stall_timeout : UpstreamFailure::reset};
}

Failure Relay::write_failure(const runtime::error_code& error) const {
    using telemetry::UpstreamFailure;
    if (to_.whose == Source::client) return client_gone(Stage::relay);
    const bool late = error == boost::asio::error::timed_out;
    return {
        .stage = Stage::send,
        .source = Source::upstream,
        .status = late ? 504 : 502,
        .retryable = !late,
        .reason = late ? "the upstream took nothing for stall_timeout" : "the upstream closed the connection",
        .upstream = late ? UpstreamFailure::stall_timeout : UpstreamFailure::reset};
}

}  // namespace sluice::proxy
