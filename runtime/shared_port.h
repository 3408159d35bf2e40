#pragma once

#include <cstdint>
#include <vector>

#include "runtime/tcp.h"

// Sockets that listen at one port together: a program and its successor (SO_REUSEPORT), or one of a port's
// addresses and all of them. The kernel deals connections out among them, by a hash or to the one that names
// the address; one that it gave to a socket that closes is reset. So who leaves has to see to it first that
// new ones go to the other. For listener.cpp.
namespace sluice::runtime {

// The inodes of all sockets that listen exactly there, in this network namespace. Reads the beginning of
// /proc/self/net/tcp, where they come first.
std::vector<std::uint64_t> sockets_listening_at(const Endpoint& local);

// Sends new connections to the other one of two sockets: `descriptor` and `other`, which listen at `local`.
// `before`: those that listened there already when `descriptor` came, which tells their places in the
// kernel's table. False when there is not exactly one other, or the kernel refuses.
bool steer_to_other(int descriptor, const Endpoint& local, const std::vector<std::uint64_t>& before);

// Drops the segments that ask for a connection, and those only: what is under way is not disturbed.
void ignore_newcomers(int descriptor);

}  // namespace sluice::runtime
