#include "runtime/check.h"

#include <cstdio>
#include <cstdlib>

namespace sluice::runtime::detail {

void check_failed(const char* file, int line, const char* condition, const char* message) {
    std::fprintf(stderr, "%s:%d: check failed: %s (%s)\n", file, line, message, condition);
    std::abort();
}

}  // namespace sluice::runtime::detail
