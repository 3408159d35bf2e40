#pragma once

// Why an exchange did not go as it should: at which stage, by whose doing, what the client is told and
// whether the request may be tried again. Status, log and retry are all decided from this one value.

#include <string_view>

#include "service/telemetry/outcome.h"

namespace sluice::proxy {

enum class Stage : unsigned char { read_head, route, decide, read_body, acquire, send, response_head, relay };
enum class Source : unsigned char { client, upstream, ourselves };

struct Failure {
    Stage stage;
    Source source;
    int status;               // 0: nothing can be answered any more, the connection ends
    bool retryable = false;   // not a byte of the answer came, and another connection may do better
    std::string_view reason;  // static text: for the body of the answer
    telemetry::UpstreamFailure upstream = telemetry::UpstreamFailure::none;
};

/// A client that has left: there is nobody to tell.
constexpr Failure client_gone(Stage stage) {
    return {.stage = stage, .source = Source::client, .status = 0, .reason = "the client went away"};
}

}  // namespace sluice::proxy
