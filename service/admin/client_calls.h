#pragma once

#include <vector>

#include "service/admin/router.h"
#include "service/admin/sources.h"

namespace sluice::admin {

/// The calls about one client, and about bans: /clients/{key}, /bans, /bans/{key}. A key is percent-encoded
/// in the path, and written as listings write it. `sources` must outlive them.
std::vector<Route> client_calls(const Sources& sources);

/// The number of a query's `top`, from 1 to 10,000, or `otherwise` when there is none; the error says what is
/// wrong.
std::expected<std::size_t, std::string> top_of(const Request& request, std::size_t otherwise);

Response missing(std::string_view what);

}  // namespace sluice::admin
