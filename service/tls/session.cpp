#include "service/tls/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include <boost/asio/error.hpp>
#include <openssl/err.h>

#include "runtime/this_task.h"
#include "service/tls/reason.h"
#include "service/tls/socket_bio.h"

namespace sluice::tls {

using namespace std::chrono_literals;
using runtime::error_code;
using runtime::Half;
using runtime::TcpStream;
using runtime::Time;

namespace {

constexpr std::size_t kRecord = 16 * 1024;

// How often one call of OpenSSL may read the socket: two make a record. It goes on by itself for as long as
// records come that say nothing, as updates of keys, whatever the deadline and whoever else waits.
constexpr unsigned kReadsInACall = 8;

// How long a wait trusts that it hears of its event. The other task's call can take it: OpenSSL may write in
// a read (an answer to a key update) and has then asked the socket in the writer's place.
constexpr runtime::Duration kTrust = 500ms;

// For a read that must write first while the socket takes nothing: the write half has its waiter already.
constexpr runtime::Duration kPause = 5ms;

// Where the pieces of a record are gathered: the thread's, since nothing parks while it is used. (On the
// stack of a request's task there is no room for it.)
[[gnu::noinline]] char* gather_room() {
    thread_local std::array<char, kRecord> room;
    return room.data();
}

std::span<const char> gather(std::span<const iovec> pieces) {
    const iovec& first = pieces.front();
    if (pieces.size() == 1 || first.iov_len >= kRecord) {
        return {static_cast<const char*>(first.iov_base), std::min(first.iov_len, kRecord)};
    }
    char* const room = gather_room();
    std::size_t filled = 0;
    for (const iovec& piece : pieces) {
        const std::size_t n = std::min(piece.iov_len, kRecord - filled);
        std::memcpy(room + filled, piece.iov_base, n);
        filled += n;
    }
    return {room, filled};
}

std::span<iovec> without_empty(std::span<iovec> buffers) {
    while (!buffers.empty() && buffers.front().iov_len == 0) buffers = buffers.subspan(1);
    return buffers;
}

}  // namespace

Session::Session(SslPtr ssl) : ssl_(std::move(ssl)) {
    BIO* const bio = SocketBio::make(*this);
    if (bio == nullptr) throw std::bad_alloc();
    SSL_set_bio(ssl_.get(), bio, bio);
}

void Session::begin(TcpStream& tcp) {
    tcp_ = &tcp;
    socket_error_.clear();
    reads_left_ = kReadsInACall;
    ERR_clear_error();
}

// Without the lock, until a call that came to want_read or again may be repeated.
void Session::await_bytes(TcpStream& tcp, Step step, error_code& error) {
    if (step == Step::want_read) {
        tcp.wait_event(Half::read, tcp.read_deadline(), error);
    } else if (runtime::now() >= tcp.read_deadline()) {
        error = boost::asio::error::timed_out;
    } else {
        runtime::this_task::yield();
    }
}

Session::Step Session::step_of(int result, error_code& error) {
    error.clear();
    const int code = SSL_get_error(ssl_.get(), result);
    switch (code) {
        case SSL_ERROR_NONE: return Step::done;
        case SSL_ERROR_WANT_READ: return reads_left_ > 0 ? Step::want_read : Step::again;
        case SSL_ERROR_WANT_WRITE: return Step::want_write;
        case SSL_ERROR_ZERO_RETURN: error = boost::asio::error::eof; return Step::ended;
        default: break;
    }
    ended_ = true;  // OpenSSL forbids close_notify after these
    if (socket_error_) {
        error = socket_error_;
    } else if (at_end_) {
        error = boost::asio::error::connection_reset;
    } else {
        error = error_code(EPROTO, boost::system::system_category());
    }
    return Step::failed;
}

std::expected<void, Session::Failure> Session::handshake(TcpStream& tcp) {
    for (;;) {
        error_code error;
        std::optional<Failure> failure;
        const Step step = shake(tcp, failure);
        send_held(tcp, error);
        if (failure) return std::unexpected(std::move(*failure));
        // A client may have gone already when its tickets are sent, and what it sent before be whole.
        if (step == Step::done) return {};
        if (!error) await_bytes(tcp, step, error);
        if (error) {
            return std::unexpected(Failure{handshake_reason(*ssl_, error, false), false,
                                           error == boost::asio::error::timed_out});
        }
    }
}

// As far as it comes with the bytes that are there. OpenSSL sends a flight in pieces of 4 KB, and each ticket
// by itself; all of it goes as one.
Session::Step Session::shake(TcpStream& tcp, std::optional<Failure>& failure) {
    const std::scoped_lock hold(lock_);
    error_code error;
    begin(tcp);
    holding_ = true;
    const Step step = step_of(SSL_do_handshake(ssl_.get()), error);
    holding_ = false;
    if (step == Step::done) shaken_ = true;
    if (error) {
        const bool plain_http = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
        failure.emplace(handshake_reason(*ssl_, error, at_end_), plain_http, false);
    }
    return step;
}

void Session::send_held(TcpStream& tcp, error_code& error) {
    const std::string bytes = std::exchange(held_, {});
    for (std::string_view left = bytes; !left.empty() && !error;) {
        iovec piece{const_cast<char*>(left.data()), left.size()};
        left.remove_prefix(tcp.write_vector({&piece, 1}, error));
    }
    if (error) ended_ = true;  // half a record may have gone
}

std::size_t Session::read(TcpStream& tcp, std::span<iovec> buffers, error_code& error) {
    buffers = without_empty(buffers);
    if (buffers.empty()) return 0;
    for (;;) {
        std::size_t count = 0;
        const Step step = try_read(tcp, buffers, count, error);
        if (step == Step::want_read || step == Step::again) {
            await_bytes(tcp, step, error);
        } else if (step == Step::want_write) {
            if (runtime::now() >= tcp.read_deadline()) error = boost::asio::error::timed_out;
            if (!error) runtime::this_task::sleep_for(kPause);
        } else {
            return count;
        }
        if (error) return 0;
    }
}

// What came along with the first record is read as well, as far as there is room. A failure behind it is
// OpenSSL's to remember.
Session::Step Session::try_read(TcpStream& tcp, std::span<iovec> buffers, std::size_t& count,
                                error_code& error) {
    const std::scoped_lock hold(lock_);
    begin(tcp);
    char* const room = static_cast<char*>(buffers.front().iov_base);
    const std::size_t size = buffers.front().iov_len;
    const Step step = step_of(SSL_read_ex(ssl_.get(), room, size, &count), error);
    if (step != Step::done) return step;
    while (count < size && SSL_has_pending(ssl_.get())) {
        std::size_t more = 0;
        if (SSL_read_ex(ssl_.get(), room + count, size - count, &more) != 1) break;
        count += more;
    }
    ERR_clear_error();
    return step;
}

std::size_t Session::write(TcpStream& tcp, std::span<iovec> buffers, error_code& error) {
    buffers = without_empty(buffers);
    if (buffers.empty()) return 0;
    for (;;) {
        std::size_t count = 0;
        const Step step = try_write(tcp, buffers, count, error);
        if (step != Step::want_write && step != Step::want_read) return count;
        const Time deadline = tcp.write_deadline();
        tcp.wait_event(Half::write, std::min<Time>(deadline, runtime::now() + kTrust), error);
        if (error == boost::asio::error::timed_out && (runtime::now() < deadline || tcp.write_goes_on()))
            error.clear();
        if (!error) continue;
        const std::scoped_lock hold(lock_);
        ended_ = true;  // half a record may have gone
        return 0;
    }
}

Session::Step Session::try_write(TcpStream& tcp, std::span<iovec> buffers, std::size_t& count,
                                 error_code& error) {
    const std::scoped_lock hold(lock_);
    if (ended_) {
        error = boost::asio::error::broken_pipe;
        return Step::failed;
    }
    begin(tcp);
    const std::span<const char> record = gather(buffers);
    return step_of(SSL_write_ex(ssl_.get(), record.data(), record.size(), &count), error);
}

bool Session::readable(TcpStream& tcp) {
    const std::scoped_lock hold(lock_);
    if (!SSL_has_pending(ssl_.get())) return false;
    begin(tcp);
    char byte;
    std::size_t count = 0;
    const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &count);
    const int code = SSL_get_error(ssl_.get(), result);
    ERR_clear_error();
    return code != SSL_ERROR_WANT_READ || reads_left_ == 0;
}

void Session::wait_readable(TcpStream& tcp, error_code& error) {
    for (error.clear(); !error;) {
        Step step = Step::want_read;
        {
            const std::scoped_lock hold(lock_);
            begin(tcp);
            char byte;
            std::size_t count = 0;
            const int result = SSL_peek_ex(ssl_.get(), &byte, 1, &count);
            const int code = SSL_get_error(ssl_.get(), result);
            ERR_clear_error();
            if (code != SSL_ERROR_WANT_READ) return;  // also the end and a failure, which a read tells
            if (reads_left_ == 0) step = Step::again;
        }
        await_bytes(tcp, step, error);
    }
}

void Session::abandon() {
    const std::scoped_lock hold(lock_);
    ended_ = true;
}

void Session::notify_end(TcpStream& tcp) {
    const std::scoped_lock hold(lock_);
    if (!shaken_ || std::exchange(ended_, true)) return;
    begin(tcp);
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
}

}  // namespace sluice::tls
