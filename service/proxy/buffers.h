#pragma once

// The memory that serving a connection takes: on the stack of the task that serves it, so that an idle
// connection has none, and none is allocated. What is not touched is not there: a stack is virtual memory,
// faulted in by use.

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice::proxy {

/// The most that max.head may be.
inline constexpr std::size_t kHeadBytesMax = 64 * 1024;

/// Bytes that a client has sent and nobody has taken yet: one head under way, then perhaps a part of its
/// body, or the next requests.
class ReceiveBuffer {
  public:
    static constexpr std::size_t kBehind = 8 * 1024;
    static constexpr std::size_t kBytes = kHeadBytesMax + kBehind;

    ReceiveBuffer() {}  // leaves the bytes as they are

    bool empty() const { return begin_ == end_; }
    std::string_view view() const { return {bytes_.data() + begin_, end_ - begin_}; }
    std::span<char> bytes() { return {bytes_.data() + begin_, end_ - begin_}; }

    /// Where to read to.
    std::span<char> room() { return std::span(bytes_).subspan(end_); }
    /// All that is behind a head that ends at `end`.
    std::span<char> room_behind(const char* end) {
        return std::span(bytes_).subspan(static_cast<std::size_t>(end - bytes_.data()));
    }
    void filled(std::size_t count) { end_ += count; }
    /// Forgets all but `rest`, which lies in bytes() or in room(). Nothing moves: views into what is
    /// forgotten hold until the next make_room().
    void keep(std::span<char> rest) {
        begin_ = static_cast<std::size_t>(rest.data() - bytes_.data());
        end_ = begin_ + rest.size();
    }
    /// Call before reading a head: makes room for the largest one plus half of kBehind. Invalidates views.
    /// Bytes move only when room is short, not for every pipelined request.
    void make_room() {
        if (begin_ <= kBehind / 2 && !empty()) return;
        std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }

  private:
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::array<char, kBytes> bytes_;
};

/// The longest head that an upstream may answer with; with what is added, it fits Buffers::answer.
inline constexpr std::size_t kAnswerHeadMax = 16 * 1024;

/// A body up to this size is copied behind its head, so that both are one piece for the kernel.
inline constexpr std::size_t kSmall = 2048;

struct Buffers {
    Buffers() {}  // leaves the bytes as they are

    ReceiveBuffer request;
    /// The head on its way to the upstream, and when that is sent, what the upstream answers.
    std::array<char, kHeadBytesMax + 4 * 1024> upstream;
    /// A head, or a whole answer of our own, on its way to the client.
    std::array<char, kAnswerHeadMax + 6 * 1024> answer;
};

}  // namespace sluice::proxy
