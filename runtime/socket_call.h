#pragma once

#include <cstddef>
#include <span>

#include <boost/system/error_code.hpp>
#include <sys/socket.h>
#include <sys/uio.h>

// The system calls of streams and listeners. Each returns a negative errno when it fails, and is never
// inlined: a compiler takes errno's address for constant and may keep it across a park, after which the task
// can be on another thread. For tcp.cpp and listener.cpp.
namespace sluice::runtime::socket_call {

[[gnu::noinline]] ssize_t receive(int descriptor, std::span<iovec> buffers);
// `more`: the kernel may wait for what follows, and send it along.
[[gnu::noinline]] ssize_t send(int descriptor, std::span<iovec> buffers, bool more);
// Looks for one byte without taking it.
[[gnu::noinline]] ssize_t peek(int descriptor);
[[gnu::noinline]] int create(int family);
[[gnu::noinline]] int connect(int descriptor, const sockaddr* address, std::size_t size);
[[gnu::noinline]] int bind(int descriptor, const sockaddr* address, std::size_t size);
[[gnu::noinline]] int listen(int descriptor, int backlog);
[[gnu::noinline]] int accept(int descriptor, sockaddr* address, socklen_t* size);
[[gnu::noinline]] int set_option(int descriptor, int level, int option, int value);
// The error that a socket has kept for us (SO_ERROR), as a negative errno; 0 for none.
[[gnu::noinline]] int kept_error(int descriptor);
// Bytes that were sent and not yet taken by the peer's kernel (a Unix socket's: read by the peer); 0 if it
// cannot be told.
[[gnu::noinline]] int untaken(int descriptor);
[[gnu::noinline]] int last_error();

// Of a negative errno.
inline boost::system::error_code to_error(ssize_t result) {
    return {static_cast<int>(-result), boost::system::system_category()};
}

}  // namespace sluice::runtime::socket_call
