#pragma once

// The first line of a message, without its CR LF.

#include <expected>
#include <string_view>

#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// Fills in method, target and minor. RFC 9112 §3.
std::expected<void, Refusal> read_request_line(std::string_view line, RequestHead& head);

/// Fills in status, reason and minor. RFC 9112 §4, but that the reason and the space before it may be
/// missing.
std::expected<void, Refusal> read_status_line(std::string_view line, ResponseHead& head);

}  // namespace sluice::http
