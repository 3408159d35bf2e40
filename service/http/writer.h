#pragma once

// Appends text to memory of the caller's, and remembers if it did not fit. The one way in which heads are
// written.

#include <algorithm>
#include <charconv>
#include <concepts>
#include <span>
#include <string_view>

namespace sluice::http {

class Writer {
  public:
    explicit Writer(std::span<char> room) : begin_(room.data()), at_(begin_), end_(begin_ + room.size()) {}

    Writer& operator<<(std::string_view text) {
        if (text.size() > static_cast<std::size_t>(end_ - at_)) {
            overflow();
            return *this;
        }
        at_ = std::copy_n(text.data(), text.size(), at_);
        return *this;
    }
    Writer& operator<<(char c) { return *this << std::string_view(&c, 1); }
    Writer& operator<<(std::unsigned_integral auto number) {
        const auto [end, error] = std::to_chars(at_, end_, number);
        if (error != std::errc())
            overflow();
        else
            at_ = end;
        return *this;
    }

    /// `name: value`, as a line.
    void field(std::string_view name, std::string_view value) {
        if (name.size() + value.size() + 4 > static_cast<std::size_t>(end_ - at_)) return overflow();
        at_ = std::copy_n(name.data(), name.size(), at_);
        *at_++ = ':';
        *at_++ = ' ';
        at_ = std::copy_n(value.data(), value.size(), at_);
        *at_++ = '\r';
        *at_++ = '\n';
    }

    /// All that was written; empty if anything did not fit.
    std::string_view text() const {
        return overflown_ ? std::string_view()
                          : std::string_view(begin_, static_cast<std::size_t>(at_ - begin_));
    }

  private:
    // Nothing more is appended behind a hole.
    void overflow() {
        overflown_ = true;
        end_ = at_;
    }

    char* begin_;
    char* at_;
    char* end_;
    bool overflown_ = false;
};

}  // namespace sluice::http
