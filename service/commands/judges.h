#pragma once

#include "config/parse.h"

namespace sluice::commands {

/// What parse() asks others about, answered by those who will use it. They read the files that are named.
config::Judges judges();

}  // namespace sluice::commands
