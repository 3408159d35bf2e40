#pragma once

// How long who waits for a server goes on: until a deadline, or until there is nobody left to wait for. A
// client that leaves wakes nobody, so whoever waits looks up now and then.

#include <algorithm>
#include <chrono>
#include <expected>

#include "runtime/time.h"
#include "service/upstream/error.h"

namespace sluice::upstream {

/// How often who waits asks whether somebody is still waited for.
inline constexpr runtime::Duration kLookUp = std::chrono::milliseconds(500);

/// Asked then: whether it has become pointless, as the client has left. Plain, so that a request pays nothing
/// for it.
struct Pointless {
    bool (*ask)(const void* of) = nullptr;
    const void* of = nullptr;
    bool operator()() const { return ask != nullptr && ask(of); }
};

/// Calls `step(until)`, which parks until then at most, again and again: until it succeeds, fails with
/// anything but Error::timeout, or `deadline` has passed. client_gone: it has become pointless. REQUIRES: a
/// step that timed out can be gone on with.
template <class Step>
auto while_wanted(runtime::Time deadline, Pointless pointless, const Step& step) -> decltype(step(deadline)) {
    for (;;) {
        const runtime::Time until = std::min<runtime::Time>(deadline, runtime::now() + kLookUp);
        auto result = step(until);
        if (result || result.error() != Error::timeout || until == deadline) return result;
        if (pointless()) return std::unexpected(Error::client_gone);
    }
}

}  // namespace sluice::upstream
