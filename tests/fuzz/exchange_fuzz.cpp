// Whole exchanges: what a client sends and what the upstream answers are both any bytes, over TCP inside this
// process (Unix sockets have no reset, by which alone an answer that ends with the connection is seen to be
// cut), in virtual time. However they are cut:
//
// - what goes upstream is well-formed, and is what a strict reader finds in the client's bytes: the same
//   requests in the same order, with the same bodies; of a request that is malformed not a byte goes as a
//   whole one;
// - the client gets one final answer for each request at most, each well-formed unless its connection was
//   cut;
// - an answer of the upstream's that looks complete to the client was complete, and has the same body;
// - afterwards no connection, task or descriptor is left.
//
// An input is a byte that says how the bytes are cut, the client's bytes, and behind each kMark what one
// connection of the upstream's answers.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/parse.h"
#include "runtime/go.h"
#include "runtime/inspect.h"
#include "runtime/scheduler.h"
#include "runtime/this_task.h"
#include "runtime/wait_group.h"
#include "service/http/body.h"
#include "service/http/read_head.h"
#include "service/loader.h"
#include "service/proxy/connection.h"

namespace {

using namespace sluice;
using namespace std::chrono_literals;
using boost::asio::buffer;

constexpr std::string_view kMark = "\n<<<\n";
constexpr http::HeadLimits kLimits{.bytes = 16 * 1024, .fields = 100};

void require(bool holds) {
    if (!holds) std::abort();
}

/// One message as a strict reader of our own found it.
struct Message {
    http::Method method = http::Method::other;
    std::string start;  // method and origin; of an answer nothing
    int status = 0;
    std::string body;
    bool complete = false;
};

std::string start_of(const http::RequestHead& head) {
    const bool rooted = head.origin.starts_with('/') || head.origin == "*";
    return std::string(head.method_text) + (rooted ? " " : " /") + std::string(head.origin);
}

/// Takes the body off the front of `bytes`; false: malformed.
bool take_body(http::Framing framing, std::string& bytes, bool ended, Message& message) {
    http::BodyReader reader(framing);
    if (!reader.done() && !bytes.empty()) {
        const auto piece = reader.feed({bytes.data(), bytes.size()});
        if (!piece) return false;
        message.body.assign(piece->data.data(), piece->data.size());
        bytes.erase(0, piece->consumed);
    }
    message.complete = reader.done() || (ended && reader.may_end());
    return true;
}

/// The requests in `bytes`, up to the first that is malformed or cut short; false: something was malformed.
bool read_requests(std::string bytes, std::vector<Message>& found) {
    while (!bytes.empty()) {
        http::HeadScan scan;
        http::RequestHead head;
        const auto size = http::read_request_head(bytes, scan, kLimits, head);
        if (!size) return false;
        if (*size == 0) return true;
        Message& message = found.emplace_back(head.method, start_of(head));
        const http::Framing framing = head.framing;
        bytes.erase(0, *size);  // the views of `head` are void
        if (!take_body(framing, bytes, false, message)) return false;
        if (!message.complete) return true;
    }
    return true;
}

/// The final answers that are whole among what one connection of the upstream's sends to a request.
std::vector<Message> whole_answers(std::string bytes, http::Method method, bool ends_in_order) {
    std::vector<Message> found;
    while (!bytes.empty()) {
        http::HeadScan scan;
        http::ResponseHead head;
        const auto size =
            http::read_response_head(bytes, scan, {.bytes = 64 * 1024, .fields = 256}, method, head);
        if (!size || *size == 0) break;
        Message answer{.method = method, .status = head.status};
        const http::Framing framing = head.framing;
        const bool interim = head.interim();
        bytes.erase(0, *size);
        if (interim) continue;
        if (!take_body(framing, bytes, ends_in_order, answer) || !answer.complete) break;
        found.push_back(std::move(answer));
    }
    return found;
}

/// Whether an answer that is complete to the client is the proxy's own, which are all errors.
bool is_ours(const Message& answer) {
    return answer.status >= 400 && (answer.method == http::Method::head ||
                                    answer.body.starts_with(R"({"type":"about:blank","title":)"));
}

/// Checks what the client got against what it asked and what the upstream's whole answers were; what is cut
/// short may be, but not malformed.
void check_answers(std::string bytes, const std::vector<Message>& asked, const std::vector<Message>& whole,
                   bool cut) {
    std::size_t finals = 0;
    while (!bytes.empty()) {
        const http::Method method = finals < asked.size() ? asked[finals].method : http::Method::get;
        http::HeadScan scan;
        http::ResponseHead head;
        const auto size =
            http::read_response_head(bytes, scan, {.bytes = 64 * 1024, .fields = 256}, method, head);
        require(size.has_value());
        if (*size == 0) return require(cut);
        const int status = head.status;
        const http::Framing framing = head.framing;
        const bool interim = head.interim();
        bytes.erase(0, *size);
        if (status == 101) return;  // what follows is no HTTP
        if (interim) continue;
        ++finals;
        Message answer{.method = method, .status = status};
        require(take_body(framing, bytes, !cut, answer));
        if (!answer.complete) return require(cut && bytes.empty());
        require(is_ours(answer) || std::any_of(whole.begin(), whole.end(), [&](const Message& one) {
                    return one.status == answer.status && one.body == answer.body;
                }));
        // One answer for each request, and one for what is none.
        require(finals <= asked.size() + 1);
    }
}

/// Each request that came whole to the upstream is the client's next; again the same after a failure.
void check_forwarded(const std::vector<std::string>& connections, const std::vector<Message>& asked) {
    std::size_t next = 0;
    for (const std::string& bytes : connections) {
        std::vector<Message> got;
        const std::size_t tunnel = bytes.find("\r\nUpgrade:");
        require(read_requests(bytes, got) || tunnel != bytes.npos);
        for (const Message& message : got) {
            const auto same = [&](const Message& one) {
                return one.start == message.start && one.body.starts_with(message.body) &&
                       (!message.complete || (one.complete && one.body == message.body));
            };
            const auto at =
                std::find_if(asked.begin() + static_cast<std::ptrdiff_t>(next), asked.end(), same);
            require(at != asked.end() || tunnel != bytes.npos);
            if (at == asked.end()) break;
            next = static_cast<std::size_t>(at - asked.begin());
        }
    }
}

/// Writes `bytes` in pieces of `step`; what the peer does not take is not sent.
runtime::error_code send(runtime::TcpStream& to, std::string_view bytes, std::size_t step) {
    runtime::error_code error;
    while (!bytes.empty() && !error) {
        to.write_deadline(runtime::now() + 60s);
        bytes.remove_prefix(to.write_some(buffer(bytes.substr(0, step)), error));
        runtime::this_task::yield();
    }
    return error;
}

/// Reads until the end; true: it was in order.
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

struct Input {
    std::uint8_t how = 0;
    std::string request;
    std::vector<std::string> answers;

    std::size_t step() const { return std::array<std::size_t, 4>{1 << 20, 1, 7, 100}[how & 3]; }
    std::size_t answer_step() const { return std::array<std::size_t, 4>{1 << 20, 1, 9, 500}[how >> 2 & 3]; }
    bool half_closes() const { return (how & 16) != 0; }      // the client, behind its last byte
    bool answers_at_once() const { return (how & 32) != 0; }  // the upstream, before the request is whole
    bool upstream_resets() const { return (how & 64) != 0; }  // behind its last byte
    bool reads_late() const { return (how & 128) != 0; }      // the client, when the proxy has given up on it
};

Input split(const std::uint8_t* data, std::size_t size) {
    Input input;
    input.how = data[0];
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::size_t mark = rest.find(kMark);
    input.request = rest.substr(0, mark);
    while (mark != rest.npos && input.answers.size() < 8) {
        rest.remove_prefix(mark + kMark.size());
        mark = rest.find(kMark);
        input.answers.emplace_back(rest.substr(0, mark));
    }
    return input;
}

/// Of this process alone, so that no other takes a port of it between two rounds.
boost::asio::ip::tcp::endpoint own_address(std::uint16_t port) {
    const auto process = static_cast<std::uint32_t>(::getpid()) & 0x3fffff;
    return {boost::asio::ip::address_v4(0x7f400000 | process), port};
}

config::Config make_config(std::uint16_t port) {
    const std::string upstream = own_address(port).address().to_string() + ":" + std::to_string(port);
    const std::string text = R"({ "listen": "127.0.0.1:1", "upstream": ")" + upstream +
                             R"(", "max": { "body": "256KiB" }, "log": { "access": "off" } })";
    auto config = config::parse(text, "fuzz", config::Environment{});
    require(config.has_value());
    return *config;
}

/// The two ends of a TCP connection: the client's and the proxy's. `narrow`: little fits between them.
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

/// The upstream: each connection answers its first requests with its part of the input, then ends.
class Upstream {
  public:
    Upstream(const Input& input, runtime::TcpListener listener)
        : input_(input), listener_(std::move(listener)) {
        tasks_.add();
        runtime::go([this] { accept(); });
    }
    void stop() {
        listener_.close();
        tasks_.wait();
    }
    const std::vector<std::string>& received() const { return received_; }
    /// The answers that were sent whole.
    const std::vector<Message>& whole() const { return whole_; }

  private:
    void accept() {
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

    void serve(runtime::TcpStream& stream, std::size_t index) {
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

    const Input& input_;
    runtime::TcpListener listener_;
    runtime::WaitGroup tasks_;
    std::vector<std::string> received_;
    std::vector<Message> whole_;
};

void exchange(const Input& input, runtime::Scheduler& scheduler) {
    runtime::this_task::sleep_for(1s);  // time zero means "not yet" to some
    static telemetry::Telemetry telemetry(1, {.level = telemetry::LogLevel::off},
                                          {.which = telemetry::AccessLogged::off});
    static std::uint16_t port = 0;
    auto listener = runtime::TcpListener::bind(own_address(port));
    require(listener.has_value());
    sockaddr_in name{};
    std::memcpy(&name, listener->local().data(), sizeof name);
    port = ntohs(name.sin_port);
    static const config::Config config = make_config(port);
    Upstream upstream(input, std::move(*listener));
    auto [client, accepted] = make_pair(input.reads_late());

    std::string got;
    bool in_order = false;
    {
        Loader loader(1000, 1, telemetry.log);
        proxy::Snapshots snapshots(loader.load(config).value());
        proxy::Registry registry(1);
        proxy::Context context{.telemetry = telemetry,
                               .clients = loader.clients(),
                               .snapshots = snapshots,
                               .registry = registry,
                               .one_client = telemetry::PerWorker<policy::OneClient>(1)};
        auto entrances = std::make_shared<const proxy::Entrances>(proxy::Entrances{config.listen, nullptr});
        require(registry.admit(1));
        proxy::Connection::start(context, entrances, std::move(accepted), runtime::Endpoint(), 10s);

        runtime::WaitGroup reading;
        reading.add();
        runtime::go([&] {
            if (input.reads_late()) runtime::this_task::sleep_for(1h);
            in_order = drain(client, got);
            reading.done();
        });
        const auto failure = send(client, input.request, input.step());
        runtime::error_code ignored;
        if (input.half_closes()) client.shutdown_send(ignored);
        reading.wait();
        // The kernel tells of a reset once: to the write, and the read then finds but the end.
        if (failure == boost::asio::error::connection_reset) in_order = false;
        client.reset();  // leaves nothing in TIME_WAIT
        while (registry.open() > 0) runtime::this_task::sleep_for(1s);
        for (const auto& one : snapshots.current()->upstreams) one->sweep(runtime::now() + 24h);
    }
    upstream.stop();
    require(runtime::counters(scheduler).live == 1);

    std::vector<Message> asked;
    read_requests(input.request, asked);
    check_forwarded(upstream.received(), asked);
    check_answers(got, asked, upstream.whole(), !in_order);
}

std::size_t descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 32 * 1024) return 0;
    const Input input = split(data, size);
    static std::size_t rounds = 0;
    static std::size_t open = 0;
    runtime::Scheduler scheduler({.virtual_time = true, .abort_on_exception = true});
    scheduler.run([&] { exchange(input, scheduler); });
    // The first round opens what stays: the log's, and the sanitizer's own.
    if (++rounds == 2) open = descriptors();
    if (rounds > 2) require(descriptors() <= open);
    return 0;
}
