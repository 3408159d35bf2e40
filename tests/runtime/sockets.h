#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/tcp.h"

// Sockets for tests: addresses, connected pairs, and the kernel's side without our streams.
namespace sluice::runtime {

inline Endpoint loopback(std::uint16_t port) {
    return boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), port);
}

inline Endpoint unix_endpoint(const std::string& path) {
    return boost::asio::local::stream_protocol::endpoint(path);
}

// A directory of this process alone, removed when it ends.
inline std::string temporary_path(const std::string& name) {
    struct Directory {
        std::string path = "/tmp/sluice-test-XXXXXX";
        Directory() { ::mkdtemp(path.data()); }
        ~Directory() { ::rmdir(path.c_str()); }
    };
    static Directory directory;
    return directory.path + "/" + name;
}

struct RawSocket {
    explicit RawSocket(int d) : descriptor(d) {}
    RawSocket(const RawSocket&) = delete;
    ~RawSocket() { ::close(descriptor); }
    int descriptor;
};

// A listening socket that nobody accepts from.
inline int raw_listener(const Endpoint& endpoint, int backlog = 16) {
    int descriptor = ::socket(endpoint.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::bind(descriptor, endpoint.data(), static_cast<socklen_t>(endpoint.size())) < 0) std::abort();
    if (::listen(descriptor, backlog) < 0) std::abort();
    return descriptor;
}

inline Endpoint raw_local(int descriptor) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    return Endpoint(&address, size);
}

// Two ends of a Unix connection, or of a TCP one over loopback. REQUIRES: called in a task.
inline std::pair<TcpStream, TcpStream> stream_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) std::abort();
    auto left = TcpStream::adopt(ends[0]).value();
    return {std::move(left), TcpStream::adopt(ends[1]).value()};
}

inline std::pair<TcpStream, TcpStream> tcp_pair() {
    auto listener = TcpListener::bind(loopback(0)).value();
    auto left = TcpStream::connect(listener.local(), kNever).value();
    return {std::move(left), listener.accept().value()};
}

inline int no_delay(int descriptor) {
    int value = 0;
    socklen_t size = sizeof value;
    ::getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &value, &size);
    return value;
}

// Packets that have come on a connection since it began: tcpi_segs_in, behind what glibc's tcp_info has.
inline unsigned segments_received(int descriptor) {
    std::uint32_t info[64] = {};
    socklen_t size = sizeof info;
    ::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info[35];
}

}  // namespace sluice::runtime
