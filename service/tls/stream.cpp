#include "service/tls/stream.h"

#include "service/tls/session.h"

namespace sluice::tls {

void EndSession::operator()(Session* session) const noexcept {
    delete session;
}

Stream& Stream::operator=(Stream&& other) noexcept {
    if (this == &other) return *this;
    close();
    tcp_ = std::move(other.tcp_);
    session_ = std::move(other.session_);
    return *this;
}

std::size_t Stream::read_secure(std::span<iovec> buffers, runtime::error_code& error) {
    return session_->read(tcp_, buffers, error);
}

std::size_t Stream::write_secure(std::span<iovec> buffers, runtime::error_code& error) {
    return session_->write(tcp_, buffers, error);
}

void Stream::wait_readable_secure(runtime::error_code& error) {
    session_->wait_readable(tcp_, error);
}

bool Stream::has_unread_secure() const {
    return session_->has_buffered() || tcp_.has_unread_event();
}

bool Stream::may_doze() {
    return !session_->readable(tcp_);
}

void Stream::notify_end() {
    session_->notify_end(tcp_);
}

void Stream::abandon() {
    session_->abandon();
}

void Stream::end_session() {
    session_->notify_end(tcp_);
    session_.reset();
}

}  // namespace sluice::tls
