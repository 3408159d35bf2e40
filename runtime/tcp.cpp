#include "runtime/tcp.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include <boost/asio/error.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/socket_call.h"
#include "runtime/this_task.h"

namespace sluice::runtime {

using namespace std::chrono_literals;
using socket_call::to_error;

namespace {

std::size_t total(std::span<const iovec> buffers) {
    std::size_t size = 0;
    for (const iovec& buffer : buffers) size += buffer.iov_len;
    return size;
}

WaitReason reason_of(Half half) {
    return half == Half::read ? WaitReason::net_read : WaitReason::net_write;
}

bool would_block(ssize_t result) {
    return result == -EAGAIN || result == -EWOULDBLOCK;
}

std::expected<Endpoint, error_code> address_of(int descriptor, decltype(::getpeername)* call) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (call(descriptor, reinterpret_cast<sockaddr*>(&address), &size) < 0) {
        return std::unexpected(to_error(socket_call::last_error()));
    }
    return Endpoint(&address, size);
}

error_code outcome_error(Outcome outcome) {
    if (outcome == Outcome::timed_out) return boost::asio::error::timed_out;
    if (outcome == Outcome::cancelled) return boost::asio::error::operation_aborted;
    return {};
}

// A Unix socket whose listener has no room refuses at once and reports no event when there is: ask again, at
// growing intervals.
int connect_unix(int descriptor, const Endpoint& peer, Time deadline) {
    deadline = std::min(deadline, this_task::deadline());
    int result = socket_call::connect(descriptor, peer.data(), peer.size());
    for (Duration pause = 1ms; result == -EAGAIN; pause = std::min<Duration>(2 * pause, 50ms)) {
        const Time time = now();
        if (time >= deadline) return -ETIMEDOUT;
        if (this_task::cancelled()) return -ECANCELED;
        this_task::sleep_until(std::min(time + pause, deadline));
        result = socket_call::connect(descriptor, peer.data(), peer.size());
    }
    return result;
}

}  // namespace

std::expected<TcpStream, error_code> TcpStream::adopt(int descriptor) {
    PollSlot* slot = PollSlot::open(descriptor);
    if (slot == nullptr) {
        error_code error = to_error(socket_call::last_error());
        ::close(descriptor);
        return std::unexpected(error);
    }
    return TcpStream(descriptor, slot);
}

std::expected<TcpStream, error_code> TcpStream::connect(const Endpoint& peer, Time deadline) {
    auto stream = begin_connect(peer, deadline);
    if (!stream) return stream;
    if (const error_code error = stream->await_connected(deadline)) return std::unexpected(error);
    return stream;
}

std::expected<TcpStream, error_code> TcpStream::begin_connect(const Endpoint& peer, Time deadline) {
    const int family = peer.data()->sa_family;
    const int descriptor = socket_call::create(family);
    if (descriptor < 0) return std::unexpected(to_error(descriptor));
    if (family != AF_UNIX) socket_call::set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    const int result = family == AF_UNIX ? connect_unix(descriptor, peer, deadline)
                                         : socket_call::connect(descriptor, peer.data(), peer.size());
    if (result < 0 && result != -EINPROGRESS) {
        ::close(descriptor);
        return std::unexpected(to_error(result));
    }
    // Registered only now: a socket that does not connect yet is reported as hung up.
    auto stream = adopt(descriptor);
    if (stream) stream->connecting_ = result != 0;
    return stream;
}

error_code TcpStream::await_connected(Time deadline) {
    if (!connecting_) return {};
    if (const Outcome outcome = slot_->wait(Half::write, deadline, WaitReason::net_connect);
        outcome != Outcome::woken)
        return outcome_error(outcome);
    connecting_ = false;
    const int result = socket_call::kept_error(descriptor_);
    return result < 0 ? to_error(result) : error_code();
}

TcpStream::TcpStream(TcpStream&& other) noexcept {
    *this = std::move(other);
}

TcpStream& TcpStream::operator=(TcpStream&& other) noexcept {
    if (this == &other) return *this;
    close();
    slot_ = std::exchange(other.slot_, nullptr);
    descriptor_ = std::exchange(other.descriptor_, -1);
    reading_ = std::exchange(other.reading_, Supply::fresh);
    writing_ = std::exchange(other.writing_, Supply::maybe);
    end_follows_ = std::exchange(other.end_follows_, false);
    connecting_ = std::exchange(other.connecting_, false);
    read_deadline_ = std::exchange(other.read_deadline_, kNever);
    write_deadline_ = std::exchange(other.write_deadline_, kNever);
    stall_ms_ = std::exchange(other.stall_ms_, 0);
    untaken_ = other.untaken_;
    return *this;
}

// A stream whose operations never have to wait notices here that it was cancelled.
bool TcpStream::usable(error_code& error) const {
    if (slot_ == nullptr) {
        error = boost::asio::error::bad_descriptor;
        return false;
    }
    if (slot_->cancelled()) {
        error = boost::asio::error::operation_aborted;
        return false;
    }
    error.clear();
    return true;
}

bool TcpStream::await(Half half, error_code& error) {
    do {
        const Time deadline = half == Half::read ? read_deadline_ : write_deadline_;
        error = outcome_error(slot_->wait(half, deadline, reason_of(half)));
    } while (error == boost::asio::error::timed_out && half == Half::write && write_goes_on());
    return !error;
}

void TcpStream::write_stall(Time now, Duration stall) {
    write_deadline_ = now + stall / 8;  // the first look
    stall_ms_ = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(stall).count(), 1,
                                 std::numeric_limits<std::uint32_t>::max()));
    untaken_ = -1;
}

bool TcpStream::write_goes_on() {
    if (stall_ms_ == 0 || slot_ == nullptr || slot_->cancelled()) return false;
    const int before = std::exchange(untaken_, socket_call::untaken(descriptor_));
    const std::int64_t least = std::max<std::int64_t>(kLeastTaken * stall_ms_ / 1000, 1);
    if (before >= 0 && before - untaken_ < least) return false;
    write_deadline_ = now() + std::chrono::milliseconds(stall_ms_);
    return true;
}

// A read that came up short of the room it had has emptied the socket, and a socket that is empty reports an
// edge with the next byte: epoll(7), question 9. The exception is the end of the stream, which may have been
// there together with the bytes; its event stays with the slot, which is then ready for good. (Out-of-band
// bytes also end a read early; a peer that sends them waits for its own next byte.)
std::size_t TcpStream::read_vector(std::span<iovec> buffers, error_code& error) {
    if (!usable(error)) return 0;
    const std::size_t room = total(buffers);
    if (room == 0) return 0;
    for (;;) {
        if (reading_ == Supply::drained && !await(Half::read, error)) return 0;
        slot_->clear(Half::read);
        const ssize_t n = socket_call::receive(descriptor_, buffers);
        if (n > 0) {
            reading_ = static_cast<std::size_t>(n) < room ? Supply::drained : Supply::maybe;
            return static_cast<std::size_t>(n);
        }
        if (n == 0) {
            reading_ = Supply::certain;
            error = boost::asio::error::eof;
            return 0;
        }
        if (would_block(n)) {
            reading_ = Supply::drained;
        } else if (n != -EINTR) {
            reading_ = Supply::certain;
            error = to_error(n);
            return 0;
        }
    }
}

std::size_t TcpStream::write_vector(std::span<iovec> buffers, error_code& error) {
    if (!usable(error)) return 0;
    const std::size_t size = total(buffers);
    if (size == 0) return 0;
    for (;;) {
        if (writing_ == Supply::drained && !await(Half::write, error)) return 0;
        slot_->clear(Half::write);
        const ssize_t n = socket_call::send(descriptor_, buffers, end_follows_);
        if (n >= 0) {
            writing_ = static_cast<std::size_t>(n) < size ? Supply::drained : Supply::maybe;
            return static_cast<std::size_t>(n);
        }
        if (would_block(n)) {
            writing_ = Supply::drained;
        } else if (n != -EINTR) {
            error = to_error(n);
            return 0;
        }
    }
}

// As read_vector() and write_vector(), which say why.
std::size_t TcpStream::try_read(std::span<iovec> buffers, error_code& error) {
    if (!usable(error)) return 0;
    const std::size_t room = total(buffers);
    if (room == 0) return 0;
    ssize_t n = -EAGAIN;
    if (reading_ != Supply::drained || slot_->ready(Half::read)) {
        slot_->clear(Half::read);
        do n = socket_call::receive(descriptor_, buffers);
        while (n == -EINTR);
    }
    if (n > 0) {
        reading_ = static_cast<std::size_t>(n) < room ? Supply::drained : Supply::maybe;
        return static_cast<std::size_t>(n);
    }
    reading_ = would_block(n) ? Supply::drained : Supply::certain;
    error = n == 0 ? error_code(boost::asio::error::eof) : to_error(n);
    return 0;
}

std::size_t TcpStream::try_write(std::span<iovec> buffers, error_code& error) {
    if (!usable(error)) return 0;
    const std::size_t size = total(buffers);
    if (size == 0) return 0;
    ssize_t n = -EAGAIN;
    if (writing_ != Supply::drained || slot_->ready(Half::write)) {
        slot_->clear(Half::write);
        do n = socket_call::send(descriptor_, buffers, end_follows_);
        while (n == -EINTR);
    }
    if (n >= 0) {
        writing_ = static_cast<std::size_t>(n) < size ? Supply::drained : Supply::maybe;
        return static_cast<std::size_t>(n);
    }
    if (would_block(n)) writing_ = Supply::drained;
    error = to_error(n);
    return 0;
}

void TcpStream::wait_event(Half half, Time deadline, error_code& error) {
    if (!usable(error)) return;
    if ((half == Half::read ? reading_ : writing_) != Supply::drained) return;
    error = outcome_error(slot_->wait(half, deadline, reason_of(half)));
}

// Finds out whether something can be read, without reading it.
bool TcpStream::peek() {
    slot_->clear(Half::read);
    ssize_t n;
    do n = socket_call::peek(descriptor_);
    while (n == -EINTR);
    reading_ = would_block(n) ? Supply::drained : Supply::certain;
    return reading_ == Supply::certain;
}

void TcpStream::wait_readable(error_code& error) {
    if (!usable(error) || reading_ == Supply::certain) return;
    if (reading_ == Supply::drained && !await(Half::read, error)) return;
    while (!peek()) {
        if (!await(Half::read, error)) return;
    }
}

bool TcpStream::has_unread_event() const {
    return slot_ != nullptr && (reading_ == Supply::certain || slot_->ready(Half::read));
}

bool TcpStream::ended() const {
    if (hung_up()) return true;
    if (!has_unread_event()) return false;
    const ssize_t n = socket_call::peek(descriptor_);
    return n == 0 || (n < 0 && !would_block(n) && n != -EINTR);
}

bool TcpStream::doze(Dormant& dormant, Time deadline) {
    if (slot_ == nullptr || reading_ == Supply::certain) return false;
    // An event may also be a late one, of bytes that were read already: then this would doze in vain.
    if ((reading_ == Supply::maybe || slot_->ready(Half::read)) && peek()) return false;
    // From a successful doze on, the stream belongs to the one who is woken: it is changed before.
    const Supply before = std::exchange(reading_, Supply::maybe);
    if (slot_->doze(dormant, deadline)) return true;
    reading_ = before;
    return false;
}

bool TcpStream::rouse() {
    return slot_ != nullptr && slot_->rouse(slot_->generation());
}

void TcpStream::cancel() {
    if (slot_ != nullptr) slot_->cancel(slot_->generation());
}

void TcpStream::shutdown_send(error_code& error) {
    if (!usable(error)) return;
    if (::shutdown(descriptor_, SHUT_WR) < 0) error = to_error(socket_call::last_error());
}

void TcpStream::close() {
    if (slot_ == nullptr) return;
    slot_->close();
    ::close(descriptor_);
    slot_ = nullptr;
    descriptor_ = -1;
}

void TcpStream::reset_on_close() {
    if (slot_ == nullptr) return;
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void TcpStream::reset() {
    reset_on_close();
    close();
}

std::expected<Endpoint, error_code> TcpStream::peer() const {
    return address_of(descriptor_, &::getpeername);
}

std::expected<Endpoint, error_code> TcpStream::local() const {
    return address_of(descriptor_, &::getsockname);
}

}  // namespace sluice::runtime
