#include "service/telemetry/descriptor.h"

#include <algorithm>
#include <cerrno>

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::telemetry {
namespace {

// poll() says "writable" of a pipe that has room for PIPE_BUF bytes (pipe(7)); a blocking write of more than
// that could block for as long as the reader likes. A file always takes all.
std::size_t safe_size(int descriptor) {
    struct stat status;
    const bool file = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    return file ? std::size_t{1} << 20 : PIPE_BUF;
}

}  // namespace

std::ptrdiff_t write_step(int descriptor, std::span<const char> bytes, std::chrono::milliseconds patience) {
    pollfd ready{descriptor, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(patience.count()));
    if (polled == 0 || (polled < 0 && errno == EINTR)) return 0;
    if (polled < 0) return -1;
    if (ready.revents & POLLNVAL) {
        errno = EBADF;
        return -1;
    }
    const ssize_t n = ::write(descriptor, bytes.data(), std::min(bytes.size(), safe_size(descriptor)));
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : -1;
    return n;
}

}  // namespace sluice::telemetry
