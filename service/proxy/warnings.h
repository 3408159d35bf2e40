#pragma once

// What an operator is told while requests are served: each kind of line at most once in so long, with the
// number of those held back. None of these is on the way of a usual request.

#include "runtime/time.h"
#include "service/policy/decide.h"
#include "service/proxy/context.h"

namespace sluice::proxy {

/// Forwarding fields of `peer` were not believed: behind a proxy that nobody has declared, all its clients
/// share one bucket.
void warn_of_ignored_fields(Context& context, const policy::Address& peer, runtime::Time now);

/// Counts a request of `client` that came through a proxy, and warns when nearly all are of one.
/// `address_from`: the field that says so.
void watch_for_one_client(Context& context, const policy::Address& client, std::string_view address_from,
                          runtime::Time now);

/// A refusal that has led to a ban, or found no room for one. REQUIRES: verdict.kind is limited.
void tell_of_ban(Context& context, const policy::Verdict& verdict, runtime::Time now);

}  // namespace sluice::proxy
