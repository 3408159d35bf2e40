#pragma once

// Writing pieces that belong together with one system call, if the kernel takes them all.

#include <span>

#include <sys/uio.h>

#include "service/tls/stream.h"

namespace sluice::proxy {

/// Writes every byte of `pieces`, in order, or fails with timed_out once the peer has taken nothing for
/// `stall`. Parks while the peer does not read. `now` may be a little old: the clock is only read again when
/// a write came up short. Alters `pieces`.
void write_all(tls::Stream& to, std::span<iovec> pieces, runtime::Time now, runtime::Duration stall,
               runtime::error_code& error);

}  // namespace sluice::proxy
