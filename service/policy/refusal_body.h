#pragma once

// The body of an answer that refuses a request for a limit: RFC 9457 JSON, a line of text, or what the
// configuration asks for. Written into memory of the caller's; nothing is allocated.

#include <cstddef>
#include <span>
#include <string_view>

#include "config/model.h"
#include "service/policy/decide.h"

namespace sluice::policy {

struct RefusalBody {
    std::string_view content_type;  // of the configuration, or constant
    std::string_view body;          // in `room`; empty: it does not fit
};

/// REQUIRES: verdict.refused_by.
RefusalBody write_refusal_body(const Verdict& verdict, const config::Response& response,
                               std::span<char> room);

/// How much room that takes.
std::size_t refusal_body_size(const Verdict& verdict, const config::Response& response);

}  // namespace sluice::policy
