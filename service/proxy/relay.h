#pragma once

// Copies the body of one message from the stream it comes on to the stream it goes to, piece by piece: never
// more of it is held than one buffer, and while the receiver does not read, the sender is not read either.

#include <algorithm>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "service/http/body.h"
#include "service/policy/slots.h"
#include "service/proxy/failure.h"
#include "service/tls/stream.h"

namespace sluice::proxy {

/// One end of a relay: whose it is, and how long it may stand still.
struct RelayEnd {
    tls::Stream& stream;
    Source whose;
    runtime::Duration stall;
    /// A write to this end failed with a reset. The kernel reports it once; a later read sees a plain end,
    /// which must not pass for the end of the message.
    bool was_reset = false;
    /// What is sent there ends with the message.
    bool ends = false;
    /// Given back before the last of it is sent.
    policy::Slots* slots = nullptr;
};

/// How soon a wait for one side notices that the other has gone. A wait that ends before costs nothing more:
/// the timer of a stream is moved lazily.
inline constexpr runtime::Duration kWatch = std::chrono::milliseconds(500);

/// After how many pieces that came without a wait the others of the worker have their turn.
inline constexpr unsigned kPiecesInARow = 16;

/// Reads like from.read_some(), but gives up when `watched` hangs up meanwhile: connection_aborted, kWatch
/// later at most. timed_out: deadline() has passed, which may change while it waits.
template <class Deadline>
std::size_t read_watching(tls::Stream& from, std::span<char> room, Deadline deadline,
                          const tls::Stream& watched, runtime::Time now, runtime::error_code& error) {
    for (;; now = runtime::now()) {
        from.read_deadline(std::min<runtime::Time>(deadline(), now + kWatch));
        const std::size_t n = from.read_some(boost::asio::buffer(room.data(), room.size()), error);
        if (error != boost::asio::error::timed_out) return n;
        if (watched.hung_up()) {
            error = boost::asio::error::connection_aborted;
            return 0;
        }
        if (runtime::now() >= deadline()) return 0;
    }
}

/// A body under way. Lives on the stack of the task that runs it.
class Relay {
  public:
    /// `framing`: how the body is delimited towards `to`. `body` knows how it is delimited as it arrives.
    using Framing = http::Framing::Kind;
    using Result = std::expected<void, Failure>;

    Relay(RelayEnd from, http::BodyReader& body, RelayEnd to, Framing framing)
        : from_(from), to_(to), body_(body), framing_(framing) {}

    /// Sends `head` and the first data of the body, which `body` has taken already, in one system call.
    Result begin(std::string_view head, std::span<char> data, runtime::Time now);

    /// Sends the rest of the body, reading it into `buffer`. The part of `buffer` that lies behind the end of
    /// the body, another message's, is left() afterwards.
    Result pump(std::span<char> buffer);

    /// Whether all of the body was sent.
    bool done() const { return done_; }
    /// Whether a byte of the message was sent, so that no other can take its place.
    bool begun() const { return begun_; }
    std::span<char> left() const { return left_; }
    /// Whether it failed because the other end of `to` had reset the connection.
    bool met_reset() const { return met_reset_; }

  private:
    Result send(std::string_view head, std::span<char> data, bool last, runtime::Time now);
    std::size_t read(std::span<char> room, runtime::error_code& error);
    Result take(std::span<char> raw, runtime::Time now);
    Failure read_failure(const runtime::error_code& error) const;
    Failure write_failure(const runtime::error_code& error) const;

    // Fixed.
    const RelayEnd from_;
    const RelayEnd to_;
    http::BodyReader& body_;
    const Framing framing_;

    std::span<char> left_;
    bool begun_ = false;
    bool done_ = false;
    bool met_reset_ = false;
};

}  // namespace sluice::proxy
