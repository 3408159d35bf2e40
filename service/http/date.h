#pragma once

// The value of the Date field (RFC 9110 §5.6.7): `Tue, 24 Nov 2026 02:46:00 GMT`. Takes the time, reads no
// clock.

#include <array>
#include <chrono>
#include <string_view>

namespace sluice::http {

/// Formats anew only when the second has changed; otherwise costs a compare. A value; of one task at a time.
class DateText {
  public:
    /// Valid until the next call.
    std::string_view at(std::chrono::sys_seconds now);

  private:
    std::chrono::sys_seconds second_ = std::chrono::sys_seconds::min();
    std::array<char, 29> text_{};
};

}  // namespace sluice::http
