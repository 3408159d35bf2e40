#include "tests/fuzz/exchange/ends.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/go.h"
#include "runtime/this_task.h"
#include "tests/fuzz/exchange/require.h"

namespace sluice::fuzz {

using namespace std::chrono_literals;
using boost::asio::buffer;

runtime::error_code send(runtime::TcpStream& to, std::string_view bytes, std::size_t step) {
    runtime::error_code error;
    for (int alone = 1024; !bytes.empty() && !error; --alone) {
        to.write_deadline(runtime::now() + 60s);
        bytes.remove_prefix(to.write_some(buffer(bytes.substr(0, step)), error));
        if (alone > 0)
            runtime::this_task::sleep_for(1ms);  // in virtual time: until all others wait, so it was read
        else
            runtime::this_task::yield();
    }
    return error;
}

bool drain(runtime::TcpStream& from, std::string& into) {
    std::array<char, 4096> piece;
    for (runtime::error_code error;;) {
        from.read_deadline(runtime::now() + 24h);
        const std::size_t n = from.read_some(buffer(piece), error);
        // What lies in a full buffer of the peer's kernel comes by the kernel's clock, which is none of ours.
        pollfd more{.fd = from.native_handle(), .events = POLLIN, .revents = 0};
        if (error == boost::asio::error::timed_out && ::poll(&more, 1, 300) == 1) continue;
        if (error) return error == boost::asio::error::eof;
        into.append(piece.data(), n);
    }
}

boost::asio::ip::tcp::endpoint own_address(std::uint16_t port) {
    const auto process = static_cast<std::uint32_t>(::getpid()) & 0x3fffff;
    return {boost::asio::ip::address_v4(0x7f400000 | process), port};
}

std::array<runtime::TcpStream, 2> make_pair(bool narrow) {
    const auto address = own_address(0);
    static const int listening = [&] {
        const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(::bind(made, address.data(), static_cast<socklen_t>(address.size())) == 0);
        require(::listen(made, 1) == 0);
        return made;
    }();
    sockaddr_in name{};
    socklen_t size = sizeof name;
    require(::getsockname(listening, reinterpret_cast<sockaddr*>(&name), &size) == 0);
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int least = 4096;  // of which the kernel makes twice as much
    if (narrow) ::setsockopt(client, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
    require(::connect(client, reinterpret_cast<sockaddr*>(&name), size) == 0);
    const int accepted = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (narrow) ::setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    const int on = 1;
    for (const int end : {client, accepted}) ::setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    require(::fcntl(client, F_SETFL, O_NONBLOCK) == 0);
    auto first = runtime::TcpStream::adopt(client);
    auto second = runtime::TcpStream::adopt(accepted);
    require(first && second);
    return {std::move(*first), std::move(*second)};
}

Upstream::Upstream(const Input& input, runtime::TcpListener listener)
    : input_(input), listener_(std::move(listener)) {
    tasks_.add();
    runtime::go([this] { accept(); });
}

void Upstream::stop() {
    listener_.close();
    tasks_.wait();
}

void Upstream::accept() {
    while (auto stream = listener_.accept()) {
        const std::size_t index = received_.size();
        received_.emplace_back();
        tasks_.add();
        runtime::go(
            [this, index](runtime::TcpStream own) {
                serve(own, index);
                own.close();
                tasks_.done();
            },
            std::move(*stream));
    }
    tasks_.done();
}

void Upstream::serve(runtime::TcpStream& stream, std::size_t index) {
    std::array<char, 4096> piece;
    for (bool answered = false;;) {
        runtime::error_code error;
        stream.read_deadline(runtime::now() + 24h);
        const std::size_t n = stream.read_some(buffer(piece), error);
        if (error) return;
        received_[index].append(piece.data(), n);
        std::vector<Message> whole;
        read_requests(received_[index], whole);
        if (answered || whole.empty() || (!whole.front().complete && !input_.answers_at_once())) continue;
        answered = true;
        if (index >= input_.answers.size()) return;
        // Known before it is sent: who gets it may be quicker than we.
        for (Message& one :
             whole_answers(input_.answers[index], whole.front().method, !input_.upstream_resets()))
            whole_.push_back(std::move(one));
        const auto failure = send(stream, input_.answers[index], input_.answer_step());
        if (failure || input_.upstream_resets()) return stream.reset();
        stream.shutdown_send(error);
    }
}

}  // namespace sluice::fuzz
