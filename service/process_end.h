#pragma once

// How the process ends when its service has: with the code that is known by then, and in bounded time.
// Something may be left that nobody can end, such as a call of getaddrinfo() while no server of names
// answers: its task has given it up, and the scheduler's end waits for the thread that it is on.

#include <csignal>
#include <initializer_list>

#include "runtime/scheduler.h"
#include "runtime/time.h"

namespace sluice {

inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;

/// The signals that the service listens to.
inline constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

/// Ends the process with `code`, should it still be there then.
void end_within(runtime::Duration time, int code);

/// Parks until the calling task is the last, or ends the process with `code`.
void await_last_tasks(runtime::Scheduler& scheduler, int code);

/// The end has come: a signal that is sent now does not turn it into death by a signal.
void end_soon(int code);

}  // namespace sluice
