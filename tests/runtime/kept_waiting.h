#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/types.h>

#include "runtime/time.h"

namespace sluice::runtime {

// How long the threads of this process but one were ready to run, and the machine had no processor for them:
// of that no promise is made.
inline Duration kept_waiting(pid_t except = 0) {
    std::int64_t sum = 0;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        if (thread.path().filename() == std::to_string(except)) continue;
        std::ifstream in(thread.path() / "schedstat");
        std::int64_t ran = 0;
        std::int64_t waited = 0;
        in >> ran >> waited;
        sum += waited;
    }
    return Duration(sum);
}

}  // namespace sluice::runtime
