#pragma once

#include <optional>
#include <stop_token>

#include "runtime/task.h"

// std::stop_token in both directions: as what asks tasks to end, and as what a task hands to code outside the
// runtime.
//
// A callback (std::stop_callback) runs in whoever asks to stop: in one that cancels a group, if it is
// registered with this_task::stop_token(). It must not park: the standard library takes the thread for the
// caller, so a callback whose task goes on elsewhere, or lets others run in between, could be destroyed while
// it runs.
namespace sluice::runtime::this_task {

// stop_token() is asked to stop when this task's group is cancelled, or the token of a StopScope that it is
// in; by nobody (stop_possible() is false) when there is neither. Not at a deadline. May park. Made when it
// is first asked for, one for all tasks of a group.
//
//     blocking_until(kNever, [stop = this_task::stop_token()] { search(files, stop); });
std::stop_token stop_token();

// StopScope: while it lives, this task is cancelled once `token` is asked to stop: the waits that can end
// early do, as in a TaskGroup that was cancelled, and a TaskGroup that it waits for is cancelled as well.
// When the scope ends the task is as it was before.
//
//     go([&, stop = shutdown.get_token()] {
//         this_task::StopScope until(stop);
//         while (auto job = jobs.receive()) run(*job);  // ends when shutdown.request_stop() was called
//     });
//
// The token's source may be asked by any task and any thread, at any moment: the scope's end waits for a
// request that is under way, some instructions long, and after that none refers to the task.
class StopScope {
  public:
    explicit StopScope(std::stop_token token);
    ~StopScope();
    StopScope(const StopScope&) = delete;
    StopScope& operator=(const StopScope&) = delete;

    // token() is asked to stop when this scope's token is, or what is around the scope.
    std::stop_token token();

  private:
    struct Cancel {
        StopScope& scope;
        void operator()() const noexcept;
    };
    struct PassOn {
        std::stop_source& to;
        void operator()() const noexcept { to.request_stop(); }
    };
    struct Either {
        Either(const std::stop_token& a, const std::stop_token& b)
            : first(a, PassOn{source}), second(b, PassOn{source}) {}
        std::stop_source source;
        std::stop_callback<PassOn> first, second;
    };

    Task& task_;
    StopScope* const around_;
    const bool cancellable_before_;
    const std::stop_token token_;
    bool stopped_ = false;  // written by the callback
    std::optional<std::stop_callback<Cancel>> callback_;
    std::optional<Either> either_;  // made when it is asked for
};

}  // namespace sluice::runtime::this_task
