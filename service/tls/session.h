#pragma once

#include <cstddef>
#include <expected>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include <sys/uio.h>

#include "runtime/tcp.h"
#include "service/tls/openssl.h"

namespace sluice::tls {

// Session: the TLS half of a Stream: OpenSSL's state of one connection, over a BIO of our own that asks the
// socket and never waits. Waiting is done here, outside of OpenSSL and without the lock, so that one task can
// write while another is parked in a read, and no task parks with OpenSSL's frames on its stack.
//
// Every function takes the socket that the session runs over, always the same; it may have moved in memory. A
// task each for reading and writing; the lock is held while OpenSSL computes and for its one system call.
// OpenSSL's error queue belongs to the thread: it is emptied before the lock is let go.
class Session {
  public:
    // Takes over `ssl`, which knows whether it accepts or connects.
    explicit Session(SslPtr ssl);
    Session(const Session&) = delete;

    // What was read from the socket already: the first bytes of the handshake. REQUIRES: before handshake().
    void begin_with(std::span<const char> bytes) { early_.assign(bytes.begin(), bytes.end()); }

    struct Failure {
        std::string reason;  // in words, with OpenSSL's reason where it has one
        bool plain_http;     // an HTTP request came instead of a hello
        bool late;           // a deadline passed
    };
    // handshake() makes the connection secure. Parks, by the socket's deadlines at the latest; if it was late
    // for the read deadline, it can be called again with a later one.
    std::expected<void, Failure> handshake(runtime::TcpStream& tcp);

    // As the functions of Stream that call them.
    std::size_t read(runtime::TcpStream& tcp, std::span<iovec> buffers, runtime::error_code& error);
    std::size_t write(runtime::TcpStream& tcp, std::span<iovec> buffers, runtime::error_code& error);
    void wait_readable(runtime::TcpStream& tcp, runtime::error_code& error);
    // Bytes that were received and not read, deciphered or not.
    bool has_buffered() const { return SSL_has_pending(ssl_.get()) != 0; }
    // Whether a read of plain text would not wait; asks the socket only where a record has come in part.
    bool readable(runtime::TcpStream& tcp);
    // Sends close_notify, once, if the socket takes it at once.
    void notify_end(runtime::TcpStream& tcp);
    // Sends no close_notify, whatever comes.
    void abandon();

    const SSL* ssl() const { return ssl_.get(); }
    SSL* ssl() { return ssl_.get(); }

  private:
    friend struct SocketBio;

    // What a call of OpenSSL came to.
    // `again`: it had its share of the bytes that are there, and wants more.
    enum class Step : unsigned char { done, want_read, again, want_write, ended, failed };
    Step step_of(int result, runtime::error_code& error);
    Step shake(runtime::TcpStream& tcp, std::optional<Failure>& failure);
    void send_held(runtime::TcpStream& tcp, runtime::error_code& error);
    void begin(runtime::TcpStream& tcp);
    void await_bytes(runtime::TcpStream& tcp, Step step, runtime::error_code& error);
    Step try_read(runtime::TcpStream& tcp, std::span<iovec> buffers, std::size_t& count,
                  runtime::error_code& error);
    Step try_write(runtime::TcpStream& tcp, std::span<iovec> buffers, std::size_t& count,
                   runtime::error_code& error);

    std::mutex lock_;  // of all below while a call of OpenSSL runs
    const SslPtr ssl_;
    runtime::TcpStream* tcp_ = nullptr;  // during a call
    runtime::error_code socket_error_;   // of the socket during a call, other than that it would block
    unsigned reads_left_ = 0;            // of the socket, during a call
    std::string early_;                  // of begin_with(), as far as it was not read
    std::string held_;                   // what a step of the handshake has to send, until its end
    bool holding_ = false;               // such a step is under way
    bool at_end_ = false;                // the socket has ended
    bool shaken_ = false;                // the handshake is done
    bool ended_ = false;                 // nothing more is sent: close_notify is, or sending failed
};

}  // namespace sluice::tls
