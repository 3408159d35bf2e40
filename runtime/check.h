#pragma once

namespace sluice::runtime::detail {

[[noreturn, gnu::cold]] void check_failed(const char* file, int line, const char* condition,
                                          const char* message);

}  // namespace sluice::runtime::detail

// SLUICE_CHECK(condition, "what should have held"): ends the process with file, line and message when the
// condition is false, in release too. For our own broken state only: nothing that a peer, a user or the
// system can cause may reach a check.
#define SLUICE_CHECK(condition, message) \
    (__builtin_expect(!!(condition), 1)  \
         ? static_cast<void>(0)          \
         : ::sluice::runtime::detail::check_failed(__FILE__, __LINE__, #condition, message))
