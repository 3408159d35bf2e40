#pragma once

#include "service/admin/request.h"
#include "service/admin/sources.h"

namespace sluice::admin {

/// `GET /events`: what /stats says, once a second, as server-sent events (HTML Living Standard §9.2). Each
/// has besides, under "window", what happened since the one before: its length and the latencies in it.
Response events(const Sources& sources);

}  // namespace sluice::admin
