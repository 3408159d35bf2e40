#pragma once

// How the end of a body is found, from the raw fields (RFC 9112 §6). Strict: a message that two readers could
// end at different places is refused.

#include <cstdint>
#include <expected>
#include <optional>

#include "service/http/fields.h"
#include "service/http/refusal.h"

namespace sluice::http {

struct DeclaredFraming {
    bool chunked = false;
    std::optional<std::uint64_t> length;
};

/// What Content-Length and Transfer-Encoding of a message of HTTP/1.`minor` say.
std::expected<DeclaredFraming, Refusal> read_framing(const Fields& fields, int minor);

}  // namespace sluice::http
