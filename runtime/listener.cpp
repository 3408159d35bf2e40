#include <chrono>

#include <boost/asio/error.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/shared_port.h"
#include "runtime/socket_call.h"
#include "runtime/tcp.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

using namespace std::chrono_literals;
using socket_call::to_error;

namespace {

// Between two attempts to accept without descriptors or memory: some are free when a connection ends.
constexpr Duration kScarcityPause = 20ms;

// Of so many connections, one is followed by a look for another in the queue.
constexpr unsigned kTakeAllEvery = 8;

bool scarce(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == ENOSPC;
}

// Errors of the connection, not of the listener: accept(2) passes on what had happened to it in the queue.
bool concerns_connection(int error) {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case ENETUNREACH:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENONET: return true;
        default: return false;
    }
}

// The path of a Unix endpoint; empty for others, and for names that are no files.
const char* path_of(const Endpoint& endpoint) {
    if (endpoint.data()->sa_family != AF_UNIX) return "";
    return reinterpret_cast<const sockaddr_un*>(endpoint.data())->sun_path;
}

std::uint64_t inode_of(const char* path) {
    struct stat status{};
    return *path != '\0' && ::lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

// A path is left over when its process died without removing it: connecting is refused then.
bool left_over(const Endpoint& endpoint) {
    if (inode_of(path_of(endpoint)) == 0) return false;
    const int probe = socket_call::create(AF_UNIX);
    if (probe < 0) return false;
    const int result = socket_call::connect(probe, endpoint.data(), endpoint.size());
    ::close(probe);
    return result == -ECONNREFUSED;
}

int bind_address(int descriptor, const Endpoint& local) {
    const int result = socket_call::bind(descriptor, local.data(), local.size());
    if (result != -EADDRINUSE || !left_over(local)) return result;
    ::unlink(path_of(local));
    return socket_call::bind(descriptor, local.data(), local.size());
}

// Accepted sockets inherit TCP_NODELAY: set once here, it costs no system call for each.
int prepare(int descriptor, int family, TcpListener::Options options) {
    if (family == AF_UNIX) return 0;
    int result = socket_call::set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (result == 0 && options.reuse_port) {
        result = socket_call::set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (result == 0 && family == AF_INET6) {
        result = socket_call::set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0);
    }
    if (result == 0) result = socket_call::set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    return result;
}

}  // namespace

std::expected<TcpListener, error_code> TcpListener::bind(const Endpoint& local, Options options) {
    const int family = local.data()->sa_family;
    TcpListener listener;
    listener.descriptor_ = socket_call::create(family);
    int result = listener.descriptor_;
    if (result >= 0) result = prepare(listener.descriptor_, family, options);
    if (result >= 0) result = bind_address(listener.descriptor_, local);
    if (result < 0) return std::unexpected(to_error(result));
    listener.path_inode_ = inode_of(path_of(local));
    listener.local_ = local;
    listener.backlog_ = options.backlog;
    if (options.reuse_port) listener.before_ = sockets_listening_at(local);
    if (result = socket_call::listen(listener.descriptor_, options.backlog); result < 0) {
        return std::unexpected(to_error(result));
    }
    if (family != AF_UNIX) {
        socklen_t size = static_cast<socklen_t>(listener.local_.capacity());
        ::getsockname(listener.descriptor_, listener.local_.data(), &size);
        listener.local_.resize(size);
    }
    listener.slot_ = PollSlot::open_repeating(listener.descriptor_);
    if (listener.slot_ == nullptr) return std::unexpected(to_error(socket_call::last_error()));
    return listener;
}

TcpListener::TcpListener(TcpListener&& other) noexcept {
    *this = std::move(other);
}

TcpListener& TcpListener::operator=(TcpListener&& other) noexcept {
    if (this == &other) return *this;
    release();
    slot_ = std::exchange(other.slot_, nullptr);
    descriptor_ = std::exchange(other.descriptor_, -1);
    turn_ = other.turn_;
    backlog_ = other.backlog_;
    since_close_ = other.since_close_;
    takes_all_ = std::exchange(other.takes_all_, true);
    path_inode_ = std::exchange(other.path_inode_, 0);
    before_ = std::move(other.before_);
    local_ = other.local_;
    scarce_ = std::move(other.scarce_);
    return *this;
}

TcpListener::~TcpListener() {
    release();
}

void TcpListener::release() {
    if (slot_ != nullptr) slot_->close();
    if (descriptor_ >= 0) ::close(descriptor_);
    if (path_inode_ != 0 && inode_of(path_of(local_)) == path_inode_) ::unlink(path_of(local_));
    slot_ = nullptr;
    descriptor_ = -1;
    path_inode_ = 0;
}

std::expected<TcpStream, error_code> TcpListener::accept() {
    return accept_from(nullptr, nullptr);
}

std::expected<TcpStream, error_code> TcpListener::accept(Endpoint& peer) {
    socklen_t size = static_cast<socklen_t>(peer.capacity());
    auto stream = accept_from(peer.data(), &size);
    // A Unix client has no name: the family alone.
    if (stream) peer.resize(size);
    return stream;
}

// To accept until nobody is there costs each connection a second call, which makes a socket and destroys it
// again. So one is taken for each report of the netpoller's, which repeats it while somebody is there; and
// now and then all that are, for as long as that finds more than one.
std::expected<TcpStream, error_code> TcpListener::accept_from(sockaddr* address, unsigned* size) {
    const unsigned capacity = size != nullptr ? *size : 0;
    for (;;) {
        if (!takes_all_ && slot_->wait(Half::read, kNever, WaitReason::net_accept) == Outcome::timed_out)
            return std::unexpected(error_code(boost::asio::error::timed_out));
        if (slot_->cancelled() && ++since_close_ > backlog_) return end();
        if (size != nullptr) *size = capacity;
        slot_->clear(Half::read);
        const int descriptor = socket_call::accept(descriptor_, address, size);
        int error = -descriptor;
        if (descriptor >= 0) {
            slot_->heeded();
            takes_all_ = takes_all_ || turn_ % kTakeAllEvery == 0;
            if (PollSlot* slot = PollSlot::open(descriptor, turn_++)) return TcpStream(descriptor, slot);
            error = -socket_call::last_error();
            ::close(descriptor);
        }
        if (error == EAGAIN || error == EWOULDBLOCK) {
            takes_all_ = false;
            const Outcome outcome = slot_->wait(Half::read, kNever, WaitReason::net_accept);
            if (outcome == Outcome::woken) continue;
            if (outcome == Outcome::timed_out)
                return std::unexpected(error_code(boost::asio::error::timed_out));
            return end();
        }
        if (slot_->cancelled() && !concerns_connection(error)) {
            return std::unexpected(error_code(boost::asio::error::operation_aborted));
        }
        takes_all_ = true;  // the others were reported already
        if (scarce(error)) {
            if (scarce_) scarce_(to_error(-error));
            this_task::sleep_for(kScarcityPause);  // not at all, once the task is to end
            if (this_task::cancelled())
                return std::unexpected(error_code(boost::asio::error::operation_aborted));
            if (this_task::deadline() <= now())
                return std::unexpected(error_code(boost::asio::error::timed_out));
        } else if (!concerns_connection(error)) {
            return std::unexpected(to_error(-error));
        }
    }
}

// All that had been queued by close() was accepted: now nothing more may join it.
std::unexpected<error_code> TcpListener::end() {
    if (slot_->cancelled()) ::shutdown(descriptor_, SHUT_RD);
    return std::unexpected(error_code(boost::asio::error::operation_aborted));
}

bool TcpListener::hand_over() {
    return steer_to_other(descriptor_, local_, before_);
}

void TcpListener::turn_deaf() {
    if (path_inode_ == 0) ignore_newcomers(descriptor_);
}

void TcpListener::share_port(bool shared) {
    socket_call::set_option(descriptor_, SOL_SOCKET, SO_REUSEPORT, shared ? 1 : 0);
}

void TcpListener::close() {
    if (slot_ != nullptr) slot_->cancel(slot_->generation());
}

}  // namespace sluice::runtime
