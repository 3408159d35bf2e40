#pragma once

#include <string_view>

#include "service/http/head.h"
#include "service/limit/client_key.h"

namespace sluice::policy {

/// What rules and limits look at. Of one request; refers to its buffers.
struct Request {
    const http::RequestHead& head;
    std::string_view listener;  // the name of the listener that it came by
    limit::Address client;
};

}  // namespace sluice::policy
