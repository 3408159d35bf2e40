#pragma once

// Reads a field section: the lines between the start line and the empty one, or a trailer section (RFC 9112
// §5). Tested and fuzzed against Boost.Beast's parser, whose place it took: Beast spent two thirds of the
// time of a head on conclusions that framing.cpp and validate.cpp must draw again, strictly.

#include <expected>
#include <string_view>

#include "service/http/fields.h"
#include "service/http/refusal.h"

namespace sluice::http {

/// Adds the fields of `section` to `into`. REQUIRES: `section` is field lines up to and with the empty line,
/// as HeadScan has found it: each line ends in CR LF. Whatever else may be wrong with a line is found here.
std::expected<void, Refusal> read_fields(std::string_view section, Fields& into);

}  // namespace sluice::http
