#include "service/tls/socket_bio.h"

#include <string>

#include <boost/asio/error.hpp>

#include "service/tls/session.h"

namespace sluice::tls {

BIO* SocketBio::make(Session& session) {
    BIO* const bio = BIO_new(method());
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio, &session);
    BIO_set_init(bio, 1);
    return bio;
}

// Made once, and kept for the life of the process.
BIO_METHOD* SocketBio::method() {
    static BIO_METHOD* const made = [] {
        BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "task stream");
        BIO_meth_set_read(method, &SocketBio::read);
        BIO_meth_set_write(method, &SocketBio::write);
        BIO_meth_set_ctrl(method, &SocketBio::control);
        return method;
    }();
    return made;
}

int SocketBio::read(BIO* bio, char* room, int size) {
    auto& session = *static_cast<Session*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (std::string& early = session.early_; !early.empty()) {
        const std::size_t n = early.copy(room, static_cast<std::size_t>(size));
        early.erase(0, n);
        if (early.empty()) early.shrink_to_fit();  // it would idle with the connection
        return static_cast<int>(n);
    }
    if (session.reads_left_ == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    iovec piece{room, static_cast<std::size_t>(size)};
    runtime::error_code error;
    const std::size_t n = session.tcp_->try_read({&piece, 1}, error);
    if (!error) {
        --session.reads_left_;
        return static_cast<int>(n);
    }
    if (error == boost::asio::error::would_block) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (error == boost::asio::error::eof) {
        session.at_end_ = true;
        return 0;
    }
    session.socket_error_ = error;
    return -1;
}

int SocketBio::write(BIO* bio, const char* data, int size) {
    auto& session = *static_cast<Session*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (session.holding_) {
        session.held_.append(data, static_cast<std::size_t>(size));
        return size;
    }
    iovec piece{const_cast<char*>(data), static_cast<std::size_t>(size)};
    runtime::error_code error;
    const std::size_t n = session.tcp_->try_write({&piece, 1}, error);
    if (!error) return static_cast<int>(n);
    if (error == boost::asio::error::would_block) {
        BIO_set_retry_write(bio);
    } else {
        session.socket_error_ = error;
    }
    return -1;
}

long SocketBio::control(BIO* bio, int command, long, void*) {
    switch (command) {
        case BIO_CTRL_FLUSH: return 1;  // nothing is held back
        case BIO_CTRL_EOF: return static_cast<Session*>(BIO_get_data(bio))->at_end_ ? 1 : 0;
        default: return 0;
    }
}

}  // namespace sluice::tls
