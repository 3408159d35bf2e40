#pragma once

#include <cstdint>

#include "runtime/task.h"
#include "runtime/time.h"

// What a task asks for itself. REQUIRES of all: called in a task.
namespace sluice::runtime::this_task {

// yield() lets the other runnable tasks of this worker run first; returns at once when there are none.
void yield();

// sleep_for(), sleep_until() park until the time has come, never less (up to 66 µs more, and what the machine
// adds). Cancellation ends a sleep early.
void sleep_for(Duration duration);
void sleep_until(Time time);

// id() is this task's number, from 1, never given to another task of the process.
std::uint64_t id();

// cancelled() tells whether the task was asked to end; its cancellable waits end as Outcome::cancelled from
// then on.
bool cancelled();

// deadline() is when this task's waits give up, kNever by default.
Time deadline();

// since() is when this task parked last or, before it ever did, when it was spawned, as its worker had read
// the clock last: up to a batch ago. For a task in which a Dormant is woken, not before its event came.
Time since();

// DeadlineScope: while it lives, the waits of this task that can time out or be cancelled give up at
// `deadline` at the latest, as do those of the tasks that it starts in a TaskGroup meanwhile. Only ever
// shortens what holds already.
//
//     this_task::DeadlineScope within(now() + 2s);
//     auto stream = TcpStream::connect(endpoint, kNever);  // timed_out after two seconds
class DeadlineScope {
  public:
    explicit DeadlineScope(Time deadline);
    ~DeadlineScope();
    DeadlineScope(const DeadlineScope&) = delete;
    DeadlineScope& operator=(const DeadlineScope&) = delete;

  private:
    Time before_;
};

}  // namespace sluice::runtime::this_task
