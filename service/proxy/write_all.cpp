#include "service/proxy/write_all.h"

namespace sluice::proxy {

namespace {

// Takes `written` bytes off the front of `pieces`.
std::span<iovec> rest_of(std::span<iovec> pieces, std::size_t written) {
    while (!pieces.empty() && written >= pieces.front().iov_len) {
        written -= pieces.front().iov_len;
        pieces = pieces.subspan(1);
    }
    if (written > 0) {
        pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + written;
        pieces.front().iov_len -= written;
    }
    return pieces;
}

}  // namespace

void write_all(tls::Stream& to, std::span<iovec> pieces, runtime::Time now, runtime::Duration stall,
               runtime::error_code& error) {
    to.write_stall(now, stall);
    for (pieces = rest_of(pieces, 0); !pieces.empty();) {
        const std::size_t written = to.write_vector(pieces, error);
        if (error) return;
        pieces = rest_of(pieces, written);
        if (!pieces.empty()) to.write_stall(runtime::now(), stall);
    }
}

}  // namespace sluice::proxy
