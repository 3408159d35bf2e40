#include "runtime/socket_call.h"

#include <cerrno>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/sanitizer.h"

namespace sluice::runtime::socket_call {

namespace {

template <class Result>
Result or_errno(Result result) {
    return result < 0 ? static_cast<Result>(-errno) : result;
}

msghdr message(std::span<iovec> buffers) {
    msghdr header{};
    header.msg_iov = buffers.data();
    header.msg_iovlen = buffers.size();
    return header;
}

}  // namespace

// One buffer is the usual case, and recv() and send() spare the kernel the copying in of a msghdr. In glibc
// they are points at which a thread may be cancelled, which takes two atomic steps each, and none of ours
// ever is; but sanitizers look at what goes through them.
ssize_t receive(int descriptor, std::span<iovec> buffers) {
    if (buffers.size() == 1) {
        const iovec& to = buffers[0];
        if constexpr (kAsan || kTsan) return or_errno(::recv(descriptor, to.iov_base, to.iov_len, 0));
        return or_errno(::syscall(SYS_recvfrom, descriptor, to.iov_base, to.iov_len, 0, nullptr, nullptr));
    }
    msghdr header = message(buffers);
    return or_errno(::recvmsg(descriptor, &header, 0));
}

ssize_t send(int descriptor, std::span<iovec> buffers, bool more) {
    const int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    if (buffers.size() == 1) {
        const iovec& from = buffers[0];
        if constexpr (kAsan || kTsan) return or_errno(::send(descriptor, from.iov_base, from.iov_len, flags));
        return or_errno(::syscall(SYS_sendto, descriptor, from.iov_base, from.iov_len, flags, nullptr, 0));
    }
    msghdr header = message(buffers);
    return or_errno(::sendmsg(descriptor, &header, flags));
}

ssize_t peek(int descriptor) {
    char byte;
    return or_errno(::recv(descriptor, &byte, 1, MSG_PEEK));
}

int create(int family) {
    return or_errno(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int connect(int descriptor, const sockaddr* address, std::size_t size) {
    return or_errno(::connect(descriptor, address, static_cast<socklen_t>(size)));
}

int bind(int descriptor, const sockaddr* address, std::size_t size) {
    return or_errno(::bind(descriptor, address, static_cast<socklen_t>(size)));
}

int listen(int descriptor, int backlog) {
    return or_errno(::listen(descriptor, backlog));
}

int accept(int descriptor, sockaddr* address, socklen_t* size) {
    return or_errno(::accept4(descriptor, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int set_option(int descriptor, int level, int option, int value) {
    return or_errno(::setsockopt(descriptor, level, option, &value, sizeof value));
}

int kept_error(int descriptor) {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return -errno;
    return -error;
}

int untaken(int descriptor) {
    int bytes = 0;
    return ::ioctl(descriptor, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

int last_error() {
    return -errno;
}

}  // namespace sluice::runtime::socket_call
