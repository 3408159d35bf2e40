#pragma once

#include <atomic>
#include <cstddef>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "runtime/tcp.h"
#include "service/admin/request.h"
#include "service/admin/server.h"
#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::admin {

/// One connection of the admin listener: reads calls, one at a time, and writes their answers. Of one task,
/// but for cancel().
class Server::Connection {
  public:
    using Respond = std::function<Response(Request&)>;

    Connection(runtime::TcpStream stream, const runtime::Endpoint& caller, const Options& options);

    /// Answers calls until the client leaves, breaks the protocol, takes too long, or cancel() is called.
    void serve(const Respond& respond);

    /// Instead of serve(): answers 503. Does not park, for a new stream takes that much at once.
    void turn_away();

    /// Before serve(), or by any thread: the next answer is the last.
    void answer_once() { last_.store(true); }
    /// Any thread: ends it if it idles, or, `if_streams`, if its answer is a stream. Whether it does.
    bool give_way(bool if_streams) {
        auto expected = if_streams ? State::streams : State::idle;
        const bool ends = state_.compare_exchange_strong(expected, State::ended);
        if (ends) stream_.cancel();
        return ends;
    }
    /// Any thread.
    void cancel() { stream_.cancel(); }

  private:
    struct Gone {};  // nothing more can be said to the client
    template <class T>
    using Received = std::expected<T, std::variant<Gone, http::Refusal>>;

    bool serve_one(const Respond& respond);
    Received<std::size_t> receive_head(http::RequestHead& head);
    Received<std::size_t> receive_body(const http::RequestHead& head, std::size_t at, std::string& body);
    bool receive_more();
    bool begin();
    bool refuse(const http::Refusal& refusal, const http::RequestHead& head);
    bool send(const Response& response, const http::RequestHead& head, bool keep_alive);
    bool send_stream(const Response& response, bool to_head);
    bool wait_until(runtime::Time when);
    bool send_bytes(std::string_view bytes);
    void linger();

    enum class State : unsigned char { idle, busy, streams, ended };

    const Options& options_;
    const runtime::Endpoint caller_;
    runtime::TcpStream stream_;
    std::atomic<State> state_{State::idle};  // busy: a byte of a call has come
    std::atomic<bool> last_{false};
    const std::unique_ptr<char[]> bytes_;  // what was received and not yet answered begins at the front
    std::size_t filled_ = 0;
};

}  // namespace sluice::admin
