#pragma once

// What one section alone cannot tell: names used twice, names that nothing has, what can never be reached.

#include "config/model.h"
#include "config/parse.h"
#include "config/reader.h"

namespace sluice::config {

/// validate() complains about what does not fit together in `config`, which was read from `root`. Positions
/// in the model are positions in the text, but for what the shorthand "upstream" added at the end.
void validate(Reader& reader, const Value& root, const Config& config, const Judges& judges);

}  // namespace sluice::config
