// What the kernel alone costs a proxy: one thread and one epoll that carries bytes from a client to its own
// upstream connection and back, and reads none of them. With "reject" every piece that arrives is answered
// with one fixed refusal instead. No program that goes through sockets in this way can spend less.
//
//   floor PORT UPSTREAM_PORT pass|reject

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::string_view kRefusal =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: text/plain\r\nContent-Length: "
    "18\r\n\r\n"
    "too many requests\n";

struct Side {
    int descriptor = -1;    // -1: closed, and an event for it may still be waiting
    Side* other = nullptr;  // where its bytes go; itself when it is answered here
};

sockaddr_in loopback(const char* port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

void set(int descriptor, int level, int option) {
    const int on = 1;
    ::setsockopt(descriptor, level, option, &on, sizeof on);
}

bool write_all(int descriptor, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd room{descriptor, POLLOUT, 0};
            ::poll(&room, 1, -1);
        } else {
            return false;
        }
    }
    return true;
}

class Floor {
  public:
    Floor(const sockaddr_in& here, const sockaddr_in& upstream, bool reject)
        : upstream_(upstream),
          reject_(reject),
          epoll_(::epoll_create1(0)),
          listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        set(listener_, SOL_SOCKET, SO_REUSEADDR);
        if (::bind(listener_, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
            ::listen(listener_, 4096) != 0)
            std::exit(EXIT_FAILURE);
        watch(listener_, EPOLLIN, nullptr);
    }

    [[noreturn]] void run() {
        std::vector<epoll_event> ready(512);
        for (;;) {
            const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
            for (int i = 0; i < count; ++i) {
                auto* const side = static_cast<Side*>(ready[i].data.ptr);
                side ? carry(*side) : take();
            }
        }
    }

  private:
    void watch(int descriptor, std::uint32_t events, Side* side) {
        epoll_event event{};
        event.events = events;
        event.data.ptr = side;
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    }

    // Sides live as long as the process: a benchmark has few, and an event for one that is gone must find it.
    Side& add(int descriptor) {
        set(descriptor, IPPROTO_TCP, TCP_NODELAY);
        sides_.push_back(std::make_unique<Side>(descriptor));
        return *sides_.back();
    }

    void join(Side& one, Side& other) {
        one.other = &other;
        watch(one.descriptor, EPOLLIN | EPOLLET, &one);
    }

    void take() {
        const int accepted = ::accept(listener_, nullptr, nullptr);
        if (accepted < 0) return;
        Side& client = add(accepted);
        if (reject_) return join(client, client);
        Side& server = add(::socket(AF_INET, SOCK_STREAM, 0));
        ::connect(server.descriptor, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_);
        join(server, client);
        join(client, server);
    }

    static void close(Side& side) {
        if (side.descriptor >= 0) ::close(side.descriptor);
        side.descriptor = -1;
    }

    void carry(Side& side) {
        while (side.descriptor >= 0) {
            const ssize_t got = ::recv(side.descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) return;
            const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
            const std::string_view out = reject_ ? kRefusal : std::string_view(buffer_.data(), size);
            if (size == 0 || !write_all(side.other->descriptor, out)) {
                close(*side.other);
                close(side);
            }
            if (size < buffer_.size())
                return;  // a short read has emptied the socket; the next edge tells of more
        }
    }

    sockaddr_in upstream_;
    bool reject_;
    int epoll_;
    int listener_;
    std::vector<char> buffer_ = std::vector<char>(64 * 1024);
    std::vector<std::unique_ptr<Side>> sides_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    Floor(loopback(argv[1]), loopback(argv[2]), std::string_view(argv[3]) == "reject").run();
}
