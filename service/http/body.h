#pragma once

// Reads a body: tells data from framing in bytes as they arrive, in place. And frames chunks for sending.
//
// A body with a length, or one that ends with the connection, passes through untouched. Of a chunked one, the
// data are moved together at the front of the bytes given, so that many small chunks go on as one.

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <span>
#include <string_view>

#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::http {

struct BodyLimits {
    std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();  // of data; more is refused with 413
    std::size_t trailer_bytes = 8 * 1024;                             // at most BodyReader::kTrailerRoom
    std::string_view no_trailer{};  // a field that may not stand there either, nor what passes for it
};

/// One body under way. A value; of one task.
class BodyReader {
  public:
    /// Bytes of chunk extensions in the whole body: they are read over, and must not become a way to send for
    /// ever.
    static constexpr std::size_t kExtensionBytesMax = 4 * 1024;
    static constexpr std::size_t kTrailerRoom = 8 * 1024;

    explicit BodyReader(Framing framing, const BodyLimits& limits = {});

    struct Piece {
        std::span<char> data;      // to pass on: lies within the bytes given; may be empty
        std::size_t consumed = 0;  // of the bytes given. Less than all of them only when `done`
        bool done = false;         // the body is complete
    };

    /// Takes what was read next. REQUIRES: !done().
    std::expected<Piece, Refusal> feed(std::span<char> raw);

    bool done() const { return state_ == State::done; }
    /// Whether nothing of it was taken yet.
    bool untouched() const {
        return bytes_ == 0 && (state_ == State::length || state_ == State::until_close ||
                               (state_ == State::size && digits_ == 0));
    }
    /// Whether the connection may end here without anything being missing.
    bool may_end() const { return done() || state_ == State::until_close; }
    /// Data handed out so far.
    std::uint64_t bytes() const { return bytes_; }
    /// Trailer fields to pass on, as lines with their CRLF: those that may stand in a trailer (RFC 9110
    /// §6.5.1) and change nothing about framing, routing or trust; not BodyLimits::no_trailer, and none with
    /// Framing::drop_trailers. Valid once
    /// done(), until this object is moved or gone.
    std::string_view trailers() const { return {trailers_.data(), trailer_size_}; }

  private:
    enum class State : std::uint8_t {
        length,            // left_ bytes of data follow
        until_close,       // all is data
        size,              // in the digits of a chunk's size
        before_extension,  // in white space behind them, which only an extension may follow (RFC 9112 §7.1.1)
        extension,         // behind them, up to CR
        size_lf,           // the LF of that line
        data,              // left_ bytes of the chunk follow
        data_cr,           // the CRLF behind them
        data_lf,
        trailer,  // in the trailer section, the empty line that ends it included
        done,
    };

    std::expected<Piece, Refusal> unchunk(std::span<char> raw);
    std::expected<void, Refusal> take_framing(char c);
    std::expected<void, Refusal> begin_chunk();
    std::expected<std::size_t, Refusal> take_trailer(std::span<const char> raw);
    std::expected<void, Refusal> keep_trailers();

    State state_;
    std::uint8_t digits_ = 0;       // of the chunk size under way
    bool drop_trailers_;            // all of them
    std::uint16_t extensions_ = 0;  // bytes
    std::uint32_t trailer_size_ = 0;
    std::uint32_t trailer_line_ = 0;  // where the line under way begins
    std::uint64_t left_ = 0;
    std::uint64_t bytes_ = 0;
    BodyLimits limits_;
    std::array<char, kTrailerRoom> trailers_;  // only written to when there are any
};

/// The line before a chunk of `size` > 0 bytes; behind the chunk comes kCrlf.
class ChunkPrefix {
  public:
    explicit ChunkPrefix(std::uint64_t size) {
        char* end = std::to_chars(text_.data(), text_.data() + 16, size, 16).ptr;
        *end++ = '\r';
        *end++ = '\n';
        size_ = static_cast<std::size_t>(end - text_.data());
    }
    std::string_view text() const { return {text_.data(), size_}; }

  private:
    std::array<char, 18> text_;
    std::size_t size_;
};

inline constexpr std::string_view kCrlf = "\r\n";
/// The end of a chunked body: kLastChunk, the trailers, kCrlf.
inline constexpr std::string_view kLastChunk = "0\r\n";

}  // namespace sluice::http
