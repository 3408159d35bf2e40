#pragma once

// A Config as text again.

#include <string>

#include "config/model.h"

namespace sluice::config {

/// to_json() writes every setting, defaults included, in the long form (`upstreams` and `routes`, never the
/// shorthand), as indented JSON. Secrets (the admin token, the values in `match.header`, a password in
/// the store's URL) are shown as "***".
/// What has no secrets reads back as the same value: parse(to_json(c)) == c.
std::string to_json(const Config& config);

}  // namespace sluice::config
