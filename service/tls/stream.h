#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include <sys/uio.h>

#include "runtime/tcp.h"

namespace sluice::tls {

class Session;  // session.h
struct EndSession {
    void operator()(Session* session) const noexcept;
};
using SessionPtr = std::unique_ptr<Session, EndSession>;

// Stream: one connection, in the clear or under TLS. What runtime::TcpStream does, under the same names and
// the same contracts; what is said here is what a session adds. Without one an operation costs a branch more
// than TcpStream's, and the deadlines, hung_up(), rouse(), cancel() and native_handle() nothing.
//
// Owner, tasks and threads: as TcpStream; also under TLS one task may read while another writes.
//
// Errors under TLS: error::eof only behind the peer's close_notify. A connection that just ends was cut short
// by whoever sits between: error::connection_reset. What is no TLS, or was tampered with:
// EPROTO.
class Stream {
  public:
    Stream() = default;  // closed
    // In the clear. Converts, so that what accepts or connects may return a Stream.
    Stream(runtime::TcpStream tcp) noexcept : tcp_(std::move(tcp)) {}
    // Under TLS, from the first operation on. REQUIRES: the session's handshake is done.
    Stream(runtime::TcpStream tcp, SessionPtr session) noexcept
        : tcp_(std::move(tcp)), session_(std::move(session)) {}
    Stream(Stream&& other) noexcept = default;
    Stream& operator=(Stream&& other) noexcept;
    ~Stream() {
        if (session_) [[unlikely]]
            close();
    }

    // From now on under TLS, without moving (rouse() and cancel() may be called meanwhile). REQUIRES: in the
    // clear; the session's handshake over this socket is done; no operation is under way.
    void protect(SessionPtr session) { session_ = std::move(session); }
    // Whether a session protects it.
    bool secure() const { return session_ != nullptr; }
    const Session* session() const { return session_.get(); }
    // The socket, for what only a stream in the clear can do (splice). REQUIRES: not secure().
    runtime::TcpStream& plain() { return tcp_; }

    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers, runtime::error_code& error) {
        runtime::detail::IoVectors vectors(buffers);
        return read_vector(vectors.span(), error);
    }
    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers, runtime::error_code& error) {
        runtime::detail::IoVectors vectors(buffers);
        return write_vector(vectors.span(), error);
    }
    std::size_t read_vector(std::span<iovec> buffers, runtime::error_code& error) {
        if (session_) [[unlikely]]
            return read_secure(buffers, error);
        return tcp_.read_vector(buffers, error);
    }
    // Under TLS: one record, 16 KiB at most, gathered from the buffers and sent with one system call. After a
    // write that timed out the stream takes no more.
    std::size_t write_vector(std::span<iovec> buffers, runtime::error_code& error) {
        if (session_) [[unlikely]]
            return write_secure(buffers, error);
        return tcp_.write_vector(buffers, error);
    }
    void wait_readable(runtime::error_code& error) {
        if (session_) [[unlikely]]
            return wait_readable_secure(error);
        tcp_.wait_readable(error);
    }

    void read_deadline(runtime::Time deadline) { tcp_.read_deadline(deadline); }
    void write_deadline(runtime::Time deadline) { tcp_.write_deadline(deadline); }
    void write_stall(runtime::Time now, runtime::Duration stall) { tcp_.write_stall(now, stall); }

    // Under TLS also what came with an earlier read and was not asked for, be it deciphered or not.
    bool has_unread_event() const {
        if (session_) [[unlikely]]
            return has_unread_secure();
        return tcp_.has_unread_event();
    }
    bool hung_up() const { return tcp_.hung_up(); }

    // Under TLS the session sleeps along, without its buffers. False when a byte of plain text can be read
    // now; the part of a record that has come may wait. What wakes it may be a message of TLS itself, so that
    // there is still nothing to read.
    bool doze(runtime::Dormant& dormant, runtime::Time deadline) {
        if (session_ && !may_doze()) [[unlikely]]
            return false;
        return tcp_.doze(dormant, deadline);
    }
    bool rouse() { return tcp_.rouse(); }
    void cancel() { tcp_.cancel(); }

    // Under TLS close_notify goes along, too.
    void end_follows() { tcp_.end_follows(); }
    // Under TLS close_notify goes first, as far as the socket takes it at once. The same in close(), unless
    // reset_on_close() was called.
    void shutdown_send(runtime::error_code& error) {
        if (session_) [[unlikely]]
            notify_end();
        tcp_.shutdown_send(error);
    }
    void close() {
        if (session_) [[unlikely]]
            end_session();
        tcp_.close();
    }
    void reset_on_close() {
        if (session_) [[unlikely]]
            abandon();
        tcp_.reset_on_close();
    }
    void reset() {
        reset_on_close();
        close();
    }

    int native_handle() const { return tcp_.native_handle(); }

  private:
    std::size_t read_secure(std::span<iovec> buffers, runtime::error_code& error);
    std::size_t write_secure(std::span<iovec> buffers, runtime::error_code& error);
    void wait_readable_secure(runtime::error_code& error);
    bool has_unread_secure() const;
    bool may_doze();
    void notify_end();
    void end_session();
    void abandon();

    runtime::TcpStream tcp_;
    SessionPtr session_;  // null: in the clear
};

}  // namespace sluice::tls
