#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tcp.h"

// Processes that listen at one address and port together (SO_REUSEPORT): a program and its successor. The
// kernel deals connections out among their sockets by a hash; one that it gave to a socket that closes is
// reset. So who leaves has to send new connections to the other first. For listener.cpp.
namespace sluice::runtime {

// The inodes of all sockets that listen exactly there, in this network namespace. Reads the beginning of
// /proc/self/net/tcp, where they come first.
std::vector<std::uint64_t> sockets_listening_at(const Endpoint& local);

// Sends new connections to the other one of two sockets: `descriptor` and `other`, which listen at `local`.
// `before`: those that listened there already when `descriptor` came, which tells their places in the
// kernel's table. False when there is not exactly one other, or the kernel refuses.
bool steer_to_other(int descriptor, const Endpoint& local, const std::vector<std::uint64_t>& before);

}  // namespace sluice::runtime
