#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/detail/socket_types.hpp>
#include <boost/asio/generic/basic_endpoint.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <sys/uio.h>

#include "runtime/netpoller.h"
#include "runtime/time.h"

// Declared rather than included: the definition brings all of Asio's sockets with it, which nobody here uses.
namespace boost::asio::generic {
class stream_protocol;
}

namespace sluice::runtime {

using boost::system::error_code;

// Endpoint: where a stream connects to or a listener binds: TCP over IPv4 or IPv6, or a Unix socket. Asio's
// own endpoints (ip::tcp::endpoint, local::stream_protocol::endpoint) convert to it.
using Endpoint = boost::asio::generic::basic_endpoint<boost::asio::generic::stream_protocol>;

class Executor;  // asio.h

// TcpStream: one connected socket, TCP or Unix, that reads and writes as if it blocked: an operation that the
// kernel cannot serve at once parks the task, not the thread. Models Beast's SyncStream.
//
//     auto stream = TcpStream::connect(endpoint, now() + 1s);
//     if (!stream) return stream.error();
//     stream->read_deadline(now() + 30s);
//     std::size_t n = stream->read_some(boost::asio::buffer(bytes), error);
//
// Owner: whoever holds the object; it moves, and closes its descriptor when destroyed. One task at a time may
// use it (two, if one only reads and the other only writes), except cancel() and rouse(), which any thread
// may call while the object is neither moved nor destroyed.
//
// Errors are Asio's: error::eof, error::timed_out (a deadline passed), error::operation_aborted (cancel()),
// else the kernel's. An operation that timed out has moved no bytes; the stream can be used on.
//
// System calls: one per operation that moves bytes. A read that returned less than it had room for has
// emptied the kernel's buffer (epoll(7)), so the next read parks at once instead of asking; likewise for
// writes.
class TcpStream {
  public:
    using executor_type = Executor;
    using lowest_layer_type = TcpStream;
    // Buffers of one operation that are passed to the kernel; the rest of a longer sequence waits for the
    // next.
    static constexpr std::size_t kGatherMax = 16;
    // Bytes a second, see write_stall().
    static constexpr std::int64_t kLeastTaken = 1024;

    // connect() connects to `peer`, parking until it is established, refused or `deadline` passes.
    static std::expected<TcpStream, error_code> connect(const Endpoint& peer, Time deadline);
    // The same in two steps, for who has to look up in between: begin_connect() waits only for a Unix socket
    // whose listener has no room; await_connected() parks until the connection is established, refused or
    // `deadline` passes (timed_out), and may then be called again. The stream is for nothing else before.
    static std::expected<TcpStream, error_code> begin_connect(const Endpoint& peer, Time deadline);
    error_code await_connected(Time deadline);
    // adopt() makes a stream of a connected descriptor, non-blocking already, and owns it from then on, also
    // on failure.
    static std::expected<TcpStream, error_code> adopt(int descriptor);

    TcpStream() = default;  // closed
    TcpStream(TcpStream&& other) noexcept;
    TcpStream& operator=(TcpStream&& other) noexcept;
    ~TcpStream() { close(); }

    // read_some() reads at least one byte, or fails. Buffers of no size: returns 0 at once.
    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers, error_code& error);
    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers);

    // write_some() writes at least one byte, gathering the buffers into one call, or fails. It may write less
    // than was given (boost::asio::write() repeats it).
    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers, error_code& error);
    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers);

    // wait_readable() parks until a read would not park: bytes, end of stream or an error are there. Reads
    // nothing.
    void wait_readable(error_code& error);

    // read_deadline(), write_deadline() set when the operations that begin from now on give up; kNever:
    // never. Setting one only stores it; the timer is moved when it fires too early.
    void read_deadline(Time deadline) { read_deadline_ = deadline; }
    void write_deadline(Time deadline) {
        write_deadline_ = deadline;
        stall_ms_ = 0;
    }
    // write_stall() has writes give up, instead, once the peer has taken next to nothing (kLeastTaken) for
    // `stall`, counted from `now`: what it takes is seen also where that makes no room yet for more, as the
    // kernel tells of room when a third of what may be megabytes is free. They may go on for an eighth
    // longer.
    void write_stall(Time now, Duration stall);
    // write_goes_on() tells, behind a write that was late, whether the peer has taken something since it was
    // asked last; then the deadline was moved on. False without write_stall().
    bool write_goes_on();
    Time read_deadline() const { return read_deadline_; }
    Time write_deadline() const { return write_deadline_; }

    // has_unread_event() tells, without a system call, whether the kernel has reported bytes, the end or an
    // error that no read has fetched. A hint: an event may be on its way. For an idle pooled connection, true
    // means stale.
    bool has_unread_event() const;

    // ended() tells whether a read would find the end of the stream, or an error. Bytes before it hide it.
    // Asks the kernel only when that has reported something.
    bool ended() const;

    // hung_up() tells, without a system call, whether the peer has reset the connection or cancel() was
    // called: what is written goes nowhere. A peer that only ended its own direction has not hung up.
    bool hung_up() const { return slot_ == nullptr || slot_->hung_up(); }

    // doze() hands the stream to the netpoller, so that an idle connection holds no task and no stack. When
    // it becomes readable (or ends, or fails), when `deadline` passes or when rouse() is called, whichever is
    // first, a new task runs dormant.wake(dormant, reason), once. Returns false, with nothing armed, when it
    // is readable now. REQUIRES: no operation is under way; `dormant` lives until it is woken; the stream is
    // not used before.
    bool doze(Dormant& dormant, Time deadline);
    // rouse() wakes a dozing stream with Wake::roused; false: it does not doze. The task that wakes takes a
    // stack at once: whoever rouses many lets them run now and then. Any thread.
    bool rouse();
    // cancel() makes the operations under way, and all later ones, fail with operation_aborted. A dozing
    // stream is roused. Any thread.
    void cancel();

    // end_follows() tells that what is written next is the last, and shutdown_send() or close() come right
    // behind it: the kernel may hold bytes back until then (without them, for some 200 ms), and the end goes
    // along with them instead of in a packet of its own.
    void end_follows() { end_follows_ = true; }
    // shutdown_send() ends our direction: the peer reads the end of the stream.
    void shutdown_send(error_code& error);
    void close();
    // reset_on_close() makes the close() to come a TCP reset.
    void reset_on_close();
    // reset() closes with a TCP reset: the peer sees an error, and bytes not yet sent are dropped.
    void reset();

    int native_handle() const { return descriptor_; }
    bool is_open() const { return descriptor_ >= 0; }
    std::expected<Endpoint, error_code> peer() const;
    std::expected<Endpoint, error_code> local() const;

    // For Asio's layered streams (ssl::stream); defined in asio.h.
    executor_type get_executor() const noexcept;
    lowest_layer_type& lowest_layer() { return *this; }
    const lowest_layer_type& lowest_layer() const { return *this; }

    // The work behind the templates: the buffers as the kernel wants them.
    std::size_t read_vector(std::span<iovec> buffers, error_code& error);
    std::size_t write_vector(std::span<iovec> buffers, error_code& error);

    // For protocols in layers (TLS), whose state must not be held across a park. try_read(), try_write() are
    // read_vector() and write_vector() that fail with error::would_block where those would park. wait_event()
    // then parks until the kernel reports something for this half, or `deadline`: a reason to try again, no
    // promise. At once when the last operation did not come up short.
    std::size_t try_read(std::span<iovec> buffers, error_code& error);
    std::size_t try_write(std::span<iovec> buffers, error_code& error);
    void wait_event(Half half, Time deadline, error_code& error);

  private:
    friend class TcpListener;

    // What is known of a direction without asking the kernel.
    enum class Supply : std::uint8_t {
        fresh,    // nothing was tried yet; if something is there, its event is on the way
        maybe,    // the last operation was served in full, or an event was taken: more may be there
        certain,  // bytes, the end or an error were seen and not fetched
        drained,  // the last operation came up short: nothing until the slot reports an event
    };

    TcpStream(int descriptor, PollSlot* slot) : slot_(slot), descriptor_(descriptor) {}
    bool usable(error_code& error) const;
    bool await(Half half, error_code& error);
    bool peek();

    PollSlot* slot_ = nullptr;
    int descriptor_ = -1;
    Supply reading_ = Supply::fresh;
    Supply writing_ = Supply::maybe;
    bool end_follows_ = false;
    bool connecting_ = false;
    Time read_deadline_ = kNever;
    Time write_deadline_ = kNever;
    std::uint32_t stall_ms_ = 0;  // 0: the deadline stands
    std::int32_t untaken_ = -1;   // bytes that the peer had not taken when that was looked at; -1: not yet
};

// TcpListener: a listening socket, TCP or Unix. One task accepts; close() may come from any thread.
//
// A Unix path that nobody listens on any more (the socket of a process that died) is taken over by bind();
// the destructor removes the path.
class TcpListener {
  public:
    struct Options {
        bool reuse_port = false;  // SO_REUSEPORT: several processes, or a successor, share the port
        bool v6_only = false;     // an IPv6 address takes no IPv4 connections
        int backlog = 4096;       // the kernel lowers it to net.core.somaxconn
    };

    // bind() listens at `local`. Port 0: one that is free, see local(). REQUIRES: called in a task.
    static std::expected<TcpListener, error_code> bind(const Endpoint& local, Options options);
    static std::expected<TcpListener, error_code> bind(const Endpoint& local) {
        return bind(local, Options{});
    }

    TcpListener(TcpListener&& other) noexcept;
    TcpListener& operator=(TcpListener&& other) noexcept;
    ~TcpListener();

    // accept() parks until a connection is there and returns it, without delay (TCP_NODELAY) and registered
    // with the workers in turn. A connection that failed before it was accepted is skipped. Out of
    // descriptors or memory, it waits a little, by a timer, and tries again. After close(): first what the
    // kernel had queued by then, so that no client is reset that was connected already; then
    // operation_aborted, for good, even while more come.
    std::expected<TcpStream, error_code> accept();
    // As above; also stores the peer's address, which costs no system call here.
    std::expected<TcpStream, error_code> accept(Endpoint& peer);

    // when_scarce(): `tell` is called by accept(), each time that it has no descriptor or no memory for a
    // connection and is about to wait. REQUIRES: nobody accepts yet.
    void when_scarce(std::function<void(const error_code&)> tell) { scarce_ = std::move(tell); }

    // close() wakes accept() and ends it as told there. Any thread. The descriptor goes with the object.
    void close();

    // hand_over() sends new connections to the one other process that listens at the same address and port
    // (both with reuse_port), and tells whether there is one. Accept on for a while before close(): what was
    // on its way still comes here, and a close would reset it. Reads a file of /proc.
    bool hand_over();
    // turn_deaf() lets no connection begin here any more, without telling who tries: a second later they try
    // again, and come to another listener of the port. What has begun still comes, so accept on for a while
    // before close(). Only where another listener takes over. Nothing happens to a Unix socket.
    void turn_deaf();
    // share_port() lets another socket be bound to the port, at the same or an overlapping address, if that
    // one has reuse_port as well, or no longer.
    void share_port(bool shared);

    const Endpoint& local() const { return local_; }
    int native_handle() const { return descriptor_; }

  private:
    TcpListener() = default;
    std::expected<TcpStream, error_code> accept_from(sockaddr* address, unsigned* size);
    std::unexpected<error_code> end();
    void release();

    PollSlot* slot_ = nullptr;
    int descriptor_ = -1;
    unsigned turn_ = 0;                  // the worker that gets the next stream
    int backlog_ = 0;                    // the most that may be queued
    int since_close_ = 0;                // attempts to accept
    bool takes_all_ = true;              // until the queue is empty, without waiting to be told
    std::uint64_t path_inode_ = 0;       // of the Unix path, to remove no successor's
    std::vector<std::uint64_t> before_;  // with reuse_port: sockets that listened there already
    Endpoint local_;
    std::function<void(const error_code&)> scarce_;
};

namespace detail {

// The head of a buffer sequence as the kernel takes it; empty buffers are left out.
struct IoVectors {
    template <class Buffers>
    explicit IoVectors(const Buffers& buffers) {
        auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto it = boost::asio::buffer_sequence_begin(buffers); it != end && count < items.size(); ++it) {
            boost::asio::const_buffer buffer(*it);
            if (buffer.size() != 0) items[count++] = {const_cast<void*>(buffer.data()), buffer.size()};
        }
    }
    std::span<iovec> span() { return {items.data(), count}; }

    std::size_t count = 0;
    std::array<iovec, TcpStream::kGatherMax> items;
};

inline std::size_t or_throw(std::size_t n, const error_code& error) {
    if (error) throw boost::system::system_error(error);
    return n;
}

}  // namespace detail

template <class MutableBuffers>
std::size_t TcpStream::read_some(const MutableBuffers& buffers, error_code& error) {
    detail::IoVectors vectors(buffers);
    return read_vector(vectors.span(), error);
}

template <class MutableBuffers>
std::size_t TcpStream::read_some(const MutableBuffers& buffers) {
    error_code error;
    std::size_t n = read_some(buffers, error);
    return detail::or_throw(n, error);
}

template <class ConstBuffers>
std::size_t TcpStream::write_some(const ConstBuffers& buffers, error_code& error) {
    detail::IoVectors vectors(buffers);
    return write_vector(vectors.span(), error);
}

template <class ConstBuffers>
std::size_t TcpStream::write_some(const ConstBuffers& buffers) {
    error_code error;
    std::size_t n = write_some(buffers, error);
    return detail::or_throw(n, error);
}

}  // namespace sluice::runtime
