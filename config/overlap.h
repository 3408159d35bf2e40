#pragma once

// Which addresses can be listened on beside each other.

#include <optional>
#include <string>

#include "config/model.h"

namespace sluice::config {

/// What is the same for two addresses that are one place, however they are written. Nothing where no other
/// can be at the same place: port 0 is another one each time.
std::optional<std::string> place(const Address& address);
bool same_place(const Address& a, const Address& b);

/// Whether `address` is all addresses of its port: 0.0.0.0 those of IPv4, [::] all that there are (its socket
/// takes IPv4 as well).
bool is_all(const Address& address);

/// Whether `a` and `b` are two places of one port and one of them is all addresses, the other among them. The
/// kernel opens both only where both share their port (reuse_port).
bool overlap(const Address& a, const Address& b);

/// Whether the port of `check` is shared with a successor: once that of anything in `listen` is.
bool shares_check(const Config& config);

/// What is wrong with two that overlap: `mine` is complained about, `other` stands at `where`.
std::string overlap_complaint(const Address& mine, const Address& other, const std::string& where);

}  // namespace sluice::config
