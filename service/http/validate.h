#pragma once

// What a head says about its body, its connection and its sender's wishes, drawn from the raw fields; and the
// rules that it must keep so that it cannot be read in two ways. Run on every head before anything of it is
// used.

#include <expected>

#include "service/http/head.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// Fills in framing, keep_alive, expect_continue, te_trailers, upgrade and the fields' `hop` from the fields.
std::expected<void, Refusal> validate(RequestHead& head);

/// Fills in framing, keep_alive, length, upgrade and the fields' `hop` from the fields, for an answer to
/// `method`.
std::expected<void, Refusal> validate(ResponseHead& head, Method method);

}  // namespace sluice::http
