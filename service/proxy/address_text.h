#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "service/limit/client_key.h"
#include "service/policy/identify.h"

namespace sluice::proxy {

/// The text of an address; `unix:` of whoever has none.
class AddressText {
  public:
    explicit AddressText(const limit::Address& address) : size_(limit::to_chars(address, room_.data())) {
        if (address == policy::kNoAddress)
            size_ = policy::kUnixText.copy(room_.data(), policy::kUnixText.size());
    }
    std::string_view view() const { return {room_.data(), size_}; }

  private:
    std::array<char, 46> room_;
    std::size_t size_;
};

}  // namespace sluice::proxy
