#pragma once

#include <cstdint>

namespace sluice::admin {

/// What Linux knows about this process.
struct ProcessFigures {
    double cpu_seconds = 0;
    double start_time_seconds = 0;  // since the epoch
    std::uint64_t resident_bytes = 0;
    std::uint64_t heap_bytes =
        0;  // what is allocated and not freed; stacks and the table of clients are not in it
    std::uint64_t virtual_bytes = 0;
    std::uint64_t threads = 0;
    std::uint64_t open_fds = 0;
    std::uint64_t max_fds = 0;
};

/// Reads /proc. With many descriptors open that takes milliseconds: call it through runtime::blocking().
ProcessFigures read_process_figures();

}  // namespace sluice::admin
