#pragma once

// "127.0.0.1:3000", "[::]:8443", "app:3000", "unix:/run/app.sock".

#include <expected>
#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::config {

/// parse_listen_address() takes IP:PORT, or unix:/PATH. Port 0 lets the system choose. The error is a whole
/// message.
std::expected<Address, std::string> parse_listen_address(std::string_view text);

/// parse_server_address() takes HOST:PORT, where HOST is an address or a name, or unix:/PATH.
std::expected<Address, std::string> parse_server_address(std::string_view text);

}  // namespace sluice::config
