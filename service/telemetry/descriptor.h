#pragma once

#include <chrono>
#include <span>

namespace sluice::telemetry {

/// Writes all of `bytes` to a descriptor that may be a file, a pipe or a terminal, blocking the calling
/// thread, but no longer than until `give_up` asks to: it is asked ten times a second while the reader takes
/// nothing. The descriptor's flags stay as they are, since it may be shared with other processes.
///
/// Returns how many bytes were written: fewer than all when told to give up, or when the descriptor is broken
/// (then errno says why). SIGPIPE must be ignored.
template <class GiveUp>
std::size_t write_patiently(int descriptor, std::span<const char> bytes, GiveUp give_up);

/// One step of it: waits up to `patience` until the descriptor takes bytes, and writes some. Returns how
/// many, 0 when it took none in time, -1 when it is broken. Never blocks for longer.
std::ptrdiff_t write_step(int descriptor, std::span<const char> bytes, std::chrono::milliseconds patience);

template <class GiveUp>
std::size_t write_patiently(int descriptor, std::span<const char> bytes, GiveUp give_up) {
    std::size_t written = 0;
    while (written < bytes.size()) {
        const std::ptrdiff_t n =
            write_step(descriptor, bytes.subspan(written), std::chrono::milliseconds(100));
        if (n < 0 || (n == 0 && give_up())) break;
        written += static_cast<std::size_t>(n);
    }
    return written;
}

}  // namespace sluice::telemetry
