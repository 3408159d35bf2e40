#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "service/telemetry/outcome.h"

namespace sluice::telemetry {

enum class LogFormat : std::uint8_t { json, text };

/// What a line of the access log never exceeds: a longer target, host or client is cut short, and marked with
/// "…".
inline constexpr std::size_t kAccessLineMax = 4096;

/// Formats one line, newline included, into `line` and returns its length. No allocation, no clock, no
/// locale. Whatever bytes the peer sent, a JSON line is one valid JSON object in UTF-8 on one line (other
/// bytes become U+FFFD), and a text line holds no control character.
std::size_t format_access_line(std::span<char, kAccessLineMax> line, const RequestOutcome& outcome,
                               std::chrono::system_clock::time_point now, LogFormat format) noexcept;

/// The line that says that `count` lines are missing.
std::size_t format_dropped_line(std::span<char, kAccessLineMax> line, std::uint64_t count,
                                std::chrono::system_clock::time_point now, LogFormat format) noexcept;

}  // namespace sluice::telemetry
