#pragma once

#include <vector>

#include "service/admin/router.h"
#include "service/admin/sources.h"

namespace sluice::admin {

/// The calls in the table of README.md, Observe, answered from `sources`, which must outlive them.
std::vector<Route> api(const Sources& sources);

}  // namespace sluice::admin
