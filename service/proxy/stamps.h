#pragma once

// What changes from request to request without being of it: the Date field, and ids.

#include <array>
#include <string_view>

namespace sluice::proxy {

/// The time of day as the Date field tells it, read from the kernel's clock of the last tick: 10 ns.
class DateNow {
  public:
    DateNow();
    std::string_view text() const { return {room_.data(), room_.size()}; }

  private:
    std::array<char, 29> room_;
};

/// A new X-Request-Id: 32 digits that no other request of any process has, but for chance. Not a secret.
class RequestId {
  public:
    RequestId();
    std::string_view text() const { return {room_.data(), room_.size()}; }

  private:
    std::array<char, 32> room_;
};

}  // namespace sluice::proxy
