#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "runtime/semaphore.h"
#include "runtime/tcp.h"

namespace sluice::runtime {

using Resolved = std::expected<std::vector<Endpoint>, error_code>;

// resolve() looks `host` up with the system's resolver (getaddrinfo), off the workers, and returns its
// addresses with `port`, in the resolver's order; at least one. An address in digits is only parsed. Errors:
// Asio's host_not_found, host_not_found_try_again, timed_out (the lookup goes on in the background, its
// answer is dropped), operation_aborted (the task was cancelled), no_memory.
//
//     auto found = resolve("example.org", 80, now() + 5s);
//     if (!found) return found.error();
//     auto stream = TcpStream::connect(found->front(), now() + 1s);
Resolved resolve(const std::string& host, std::uint16_t port, Time deadline);

// resolve_patiently() is resolve() for a name that will be looked up again and again: it waits for its turn,
// and for as long as the lookup takes, so that there is one for the name at a time. When it takes longer than
// `patience`, late() is called, by another task, which has ended before it returns; the wait for its turn
// does not count. Only the task's cancellation, and its deadline, end it early.
Resolved resolve_patiently(const std::string& host, std::uint16_t port, Duration patience,
                           const std::function<void()>& late);

namespace detail {

// The same with a resolver of one's own, and as many lookups at a time as there are `places`. They must
// outlive the scheduler's threads.
Resolved resolve_patiently(Semaphore& places, std::function<Resolved()> look_up, Duration patience,
                           const std::function<void()>& late);

}  // namespace detail

}  // namespace sluice::runtime
