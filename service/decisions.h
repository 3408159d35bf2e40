#pragma once

// Decisions for others: by the same rules, the same table of clients and the same counters as those about
// requests that are forwarded.

#include <expected>
#include <string>

#include "service/admin/decisions.h"
#include "service/proxy/context.h"

namespace sluice {

/// Decides, spends and counts as if the request had come here, but that
///  - it needs no route: where none matches, a key made of the route is that of no route
///  - it came by no listener
///  - of a limit of requests in flight it holds nothing once it is answered, for when the request ends is
///    not heard of here: it is refused while requests that are forwarded fill the limit
/// Where a limit delays, it parks until the turn has come, or until it sees that the asker has left.
std::expected<admin::Decision, std::string> check(proxy::Context& context, const admin::Question& question);

/// What would become of such a request, had it come by the listener that the question names, or by the first;
/// spends, counts and remembers nothing.
std::expected<admin::Explanation, std::string> explain(const proxy::Context& context,
                                                       const admin::Question& question);

}  // namespace sluice
