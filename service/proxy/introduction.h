#pragma once

// The PROXY header at the front of a connection, where the listener expects one.

#include <expected>
#include <string_view>

#include "runtime/tcp.h"
#include "service/http/proxy_header.h"
#include "service/proxy/buffers.h"

namespace sluice::proxy {

/// Reads it by the stream's read deadline, and leaves in `buffer` what came behind it. Parks. The error says
/// why it is none; empty: the client has gone. REQUIRES: `buffer` is empty.
std::expected<http::ProxyHeader, std::string_view> read_introduction(runtime::TcpStream& stream,
                                                                     ReceiveBuffer& buffer);

}  // namespace sluice::proxy
