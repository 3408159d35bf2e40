#pragma once

// One request as it comes in: its head, what of its body came along, and the rest of the body, which somebody
// has to take before the next request can be read. Lives on the stack of the task that serves the connection.

#include <expected>
#include <optional>
#include <span>

#include "config/model.h"
#include "service/http/body.h"
#include "service/http/head.h"
#include "service/http/read_head.h"
#include "service/proxy/buffers.h"
#include "service/proxy/failure.h"
#include "service/tls/stream.h"

namespace sluice::proxy {

class Incoming {
  public:
    Incoming(tls::Stream& stream, ReceiveBuffer& buffer) : stream_(stream), buffer_(buffer) {}
    Incoming(const Incoming&) = delete;

    /// Reads the head, and takes of the body what has come along. Parks: until `first_by` for the first byte,
    /// then for timeouts.head in all. Fails with status 0 when no request has come.
    /// `reported`, unless zero: the first bytes are there, and had come by then, so that the clock need not
    /// be asked.
    std::expected<void, Failure> read(const config::Config& config, runtime::Time first_by,
                                      runtime::Time reported);

    /// Whether a byte of the head has come, and when.
    bool begun() const { return began_ != runtime::Time{}; }
    runtime::Time began() const { return began_; }
    /// When the last of the head came: no earlier than began(), and much later where the client is slow.
    runtime::Time arrived() const { return arrived_; }
    /// Whether the head is complete and well-formed. Before, only method_text and target may be looked at.
    bool complete() const { return body_.has_value(); }
    const http::RequestHead& head() const { return head_; }
    /// Fields::pass_on() of the head.
    void pass_on(std::string_view name, bool on) { head_.fields.pass_on(name, on); }

    tls::Stream& stream() { return stream_; }
    http::BodyReader& body() { return *body_; }
    std::uint64_t body_bytes() const { return body_ ? body_->bytes() : 0; }
    /// The data of the body that came with the head: all of it when body().done().
    std::span<char> first() const { return first_; }

    /// Where the rest of the body is read to, once first() has been sent or is not wanted: it is void then.
    std::span<char> room() { return buffer_.room_behind(body_begins_); }
    /// What was read into room() and lies behind the end of the body: the next request.
    void leave(std::span<char> rest) { buffer_.keep(rest); }

    /// Whether an unread body is short enough to be read over, so that the connection can go on behind an
    /// answer that did not wait for it. Of a chunked one that shows only in drain().
    bool may_drain() const;
    /// Reads over the rest of the body: false when it is too long, malformed, or does not come within
    /// `patience`.
    bool drain(runtime::Duration patience);

  private:
    std::expected<bool, Failure> parse(const config::Config& config);
    std::expected<void, Failure> begin_body(std::size_t head_bytes, const config::Config& config);

    tls::Stream& stream_;
    ReceiveBuffer& buffer_;

    runtime::Time began_{};
    runtime::Time arrived_{};
    http::HeadScan scan_;
    http::RequestHead head_;
    std::optional<http::BodyReader> body_;
    const char* body_begins_ = nullptr;
    std::span<char> first_;
};

}  // namespace sluice::proxy
