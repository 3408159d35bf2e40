#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "runtime/tcp.h"

namespace sluice::runtime {

// resolve() looks `host` up with the system's resolver (getaddrinfo), off the workers, and returns its
// addresses with `port`, in the resolver's order; at least one. An address in digits is only parsed. Errors:
// Asio's host_not_found, host_not_found_try_again, timed_out (the lookup goes on in the background, its
// answer is dropped), operation_aborted (the task was cancelled), no_memory.
//
//     auto found = resolve("example.org", 80, now() + 5s);
//     if (!found) return found.error();
//     auto stream = TcpStream::connect(found->front(), now() + 1s);
std::expected<std::vector<Endpoint>, error_code> resolve(const std::string& host, std::uint16_t port,
                                                         Time deadline);

}  // namespace sluice::runtime
