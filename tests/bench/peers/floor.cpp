// What the kernel alone costs a proxy: one thread and one epoll that carries bytes from a client to its own
// upstream connection and back, and reads none of them. With "reject" every piece that arrives is answered
// with one fixed refusal instead; with "once" each connection of a client ends with its answer, and those to
// the upstream are kept. No program that goes through sockets in this way can spend less.
//
//   floor PORT UPSTREAM_PORT pass|reject|once WORKERS

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::string_view kRefusal =
    "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: text/plain\r\nContent-Length: "
    "18\r\n\r\n"
    "too many requests\n";
// In place of the client's, whose "Connection: close" is not for the upstream; and of the upstream's, as long
// as that: wrk connects anew only where it is told so.
constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:19100\r\n\r\n";
constexpr std::string_view kLastAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 162\r\n\r\n"
    "An answer of the length that the upstream's has with its head: what is in it does not matter to "
    "a kernel, which copies it from one place to another as it is......";

enum class Mode { pass, reject, once };

struct Side {
    int descriptor = -1;    // -1: closed, and an event for it may still be waiting
    Side* other = nullptr;  // where its bytes go; itself when it is answered here
    bool client = false;
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

// `last`: the end of the connection follows, and goes along in the same packet.
bool write_all(int descriptor, std::string_view bytes, bool last) {
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (last ? MSG_MORE : 0);
    while (!bytes.empty()) {
        const ssize_t written = ::send(descriptor, bytes.data(), bytes.size(), flags);
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
    Floor(const sockaddr_in& here, const sockaddr_in& upstream, Mode mode)
        : upstream_(upstream),
          mode_(mode),
          epoll_(::epoll_create1(0)),
          listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        set(listener_, SOL_SOCKET, SO_REUSEADDR);
        set(listener_, SOL_SOCKET, SO_REUSEPORT);
        set(listener_, IPPROTO_TCP, TCP_NODELAY);  // those that it accepts inherit it
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

    // Sides live as long as the process: an event for one that is gone must find it.
    Side& add(int descriptor, bool client) {
        if (unused_.empty()) {
            sides_.push_back(std::make_unique<Side>());
            unused_.push_back(sides_.back().get());
        }
        Side& side = *unused_.back();
        unused_.pop_back();
        side = {descriptor, &side, client};
        return side;
    }

    Side& server() {
        if (!kept_.empty()) {
            Side& side = *kept_.back();
            kept_.pop_back();
            return side;
        }
        Side& side = add(::socket(AF_INET, SOCK_STREAM, 0), false);
        set(side.descriptor, IPPROTO_TCP, TCP_NODELAY);
        ::connect(side.descriptor, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_);
        watch(side.descriptor, EPOLLIN | EPOLLET, &side);
        return side;
    }

    void take() {
        const int accepted = ::accept(listener_, nullptr, nullptr);
        if (accepted < 0) return;
        Side& client = add(accepted, true);
        if (mode_ != Mode::reject) {
            client.other = &server();
            client.other->other = &client;
        }
        watch(accepted, EPOLLIN | EPOLLET, &client);
    }

    void close(Side& side) {
        if (side.descriptor < 0) return;
        ::close(side.descriptor);
        side.descriptor = -1;
        unused_.push_back(&side);
    }

    void carry(Side& side) {
        while (side.descriptor >= 0) {
            const ssize_t got = ::recv(side.descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN) return;
            const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
            Side& other = *side.other;
            const bool last = mode_ == Mode::once && !side.client;
            if (size == 0 || !write_all(other.descriptor, out(side, size), last)) {
                close(other);
                close(side);
            } else if (last) {
                close(other);
                kept_.push_back(&side);
                return;
            }
            if (size < buffer_.size())
                return;  // a short read has emptied the socket; the next edge tells of more
        }
    }

    std::string_view out(const Side& side, std::size_t size) const {
        if (mode_ == Mode::reject) return kRefusal;
        if (mode_ == Mode::once) return side.client ? kRequest : kLastAnswer;
        return {buffer_.data(), size};
    }

    sockaddr_in upstream_;
    Mode mode_;
    int epoll_;
    int listener_;
    std::vector<char> buffer_ = std::vector<char>(64 * 1024);
    std::vector<std::unique_ptr<Side>> sides_;
    std::vector<Side*> unused_;
    std::vector<Side*> kept_;  // connections to the upstream that no client has
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    const std::string_view mode = argv[3];
    for (int workers = std::atoi(argv[4]); workers > 1; --workers)
        if (::fork() == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGTERM);
            break;
        }
    Floor(loopback(argv[1]), loopback(argv[2]),
          mode == "reject" ? Mode::reject
          : mode == "once" ? Mode::once
                           : Mode::pass)
        .run();
}
