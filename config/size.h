#pragma once

// "64KiB", "10MiB", "1MB".

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace sluice::config {

/// parse_size() takes a whole number and a unit (B, kB MB GB of 1000, KiB MiB GiB of 1024), less than 2^63
/// bytes. The error is a whole message.
std::expected<std::uint64_t, std::string> parse_size(std::string_view text);

/// "16KiB" for what KiB, MiB or GiB measure exactly, else bytes: "1000B". kUnlimited is "unlimited".
std::string size_text(std::uint64_t bytes);

}  // namespace sluice::config
