#pragma once

// What an answer tells a client about its limits: RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-10), the X-RateLimit-* of old, and Retry-After. Written into memory
// of the caller's; nothing is allocated.

#include <cstdint>
#include <span>
#include <string_view>

#include "config/model.h"
#include "service/http/fields.h"
#include "service/policy/decide.h"

namespace sluice::policy {

/// Room that the fields of any verdict fit in: names of limits are at most 128 bytes.
inline constexpr std::size_t kRateFieldsRoom = 12288;

/// Rounded up: what Retry-After is told in.
std::uint64_t whole_seconds(limit::Nanos time);

/// Whole seconds, rounded up and never 0, until the limit admits what it refuses, or has it only wait for
/// `held`. What costs more than the limit ever holds is told when all of that is there. Nobody knows when a
/// request in flight will end: 1, then.
std::uint64_t seconds_until_admitted(const Applied& refused, limit::Nanos held = 0);

/// For Retry-After, and {retry_after} of a body: the same for all limits that would refuse the request. A
/// refusal that bans: no sooner than the ban ends. 0: the verdict is no refusal by a limit.
std::uint64_t retry_after_seconds(const Verdict& verdict);

/// The fields as complete lines, each with its CRLF, at the front of `room`:
///  - RateLimit-Policy names all enforced limits that applied, in their order: `"per-ip";q=20;w=2`
///  - RateLimit tells of the one nearest to refusing: `"per-ip";r=19;t=1`. `t`, whole seconds rounded up
///    until more is there, is left out when the bucket is full: the draft has no meaning for a 0
///  - X-RateLimit-Limit, -Remaining and -Reset tell of the same one; Reset is `t` (seconds, not a date), and
///    0 when full
///  - Retry-After, with a refusal, whatever `headers` is
/// Empty: no enforced limit applied, or it does not fit.
std::string_view write_rate_fields(const Verdict& verdict, config::RateHeaders headers, std::span<char> room);

/// Whose fields an answer of the upstream's goes on with. It may be limited there, too.
struct RateFieldsChoice {
    config::RateHeaders ours;  // those of ours that belong into the answer
    http::FieldSet drop;       // fields of the upstream's that do not go on
};
/// Of each kind of fields that is ours to send, RateLimit or X-RateLimit-*, by itself: the upstream's stay,
/// and ours are not sent, unless ours say that less remains, or theirs cannot be read. The other kind is left
/// alone: what an upstream says there is for clients that read it.
RateFieldsChoice choose_rate_fields(const Verdict& verdict, config::RateHeaders headers,
                                    const http::Fields& upstream);

}  // namespace sluice::policy
