#pragma once

// Reads a field section with Boost.Beast's parser. The one place that includes Beast: it takes long to
// compile.

#include <expected>
#include <string_view>

#include "service/http/fields.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// Adds the fields of `section` to `into`. REQUIRES: `section` is field lines up to and with the empty line,
/// as HeadScan has found it: each line ends in CR LF and none is folded; they are no more than `into` has
/// room for.
std::expected<void, Refusal> read_fields(std::string_view section, Fields& into);

}  // namespace sluice::http
