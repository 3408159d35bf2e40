#pragma once

#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace sluice::telemetry {

/// Writes text into a buffer of fixed size: what does not fit is left out. No allocation.
class LineWriter {
  public:
    explicit LineWriter(std::span<char> buffer)
        : begin_(buffer.data()), at_(begin_), end_(begin_ + buffer.size()) {}

    std::size_t size() const { return static_cast<std::size_t>(at_ - begin_); }
    std::size_t room() const { return static_cast<std::size_t>(end_ - at_); }

    void text(std::string_view s) {
        if (s.size() > room()) s = s.substr(0, room());
        std::memcpy(at_, s.data(), s.size());
        at_ += s.size();
    }

    template <class Number>
        requires std::integral<Number> || std::floating_point<Number>
    void number(Number n) {
        if (const auto [last, error] = std::to_chars(at_, end_, n); error == std::errc()) at_ = last;
    }

    /// `s` as the inside of a JSON string (config/json_string.h). At most `bytes_max` bytes (at least 3) are
    /// written; when that cuts it short, it ends in "…".
    void escaped(std::string_view s, std::size_t bytes_max);

    /// Seconds with microseconds: 0.001234.
    void seconds(std::chrono::nanoseconds duration);

    /// RFC 3339 in UTC with milliseconds: 2026-11-24T02:29:34.123Z.
    void time(std::chrono::system_clock::time_point when);

  private:
    // REQUIRES: room() >= width.
    void digits(unsigned value, unsigned width);

    char* const begin_;
    char* at_;
    char* const end_;
};

}  // namespace sluice::telemetry
