#pragma once

// "10.0.0.0/8", "2001:db8::/32", "192.0.2.7".

#include <expected>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::config {

/// parse_cidr() takes an address with or without a prefix length. Bits below the prefix must be zero. The
/// error is a whole message.
std::expected<Cidr, std::string> parse_cidr(std::string_view text);

}  // namespace sluice::config
