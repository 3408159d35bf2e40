#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>

namespace sluice::commands {

struct Answer {
    unsigned status = 0;
    std::string body;
};

/// GETs `path` from the admin listener at `address` (HOST:PORT, [IPV6]:PORT, unix:/PATH), all of it within
/// `timeout`. Blocks. The error says what failed, the address included.
std::expected<Answer, std::string> get(std::string_view address, std::string_view path,
                                       std::string_view token, std::chrono::milliseconds timeout);

}  // namespace sluice::commands
