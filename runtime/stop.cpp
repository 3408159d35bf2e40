#include "runtime/stop.h"

#include <utility>

#include "runtime/on_tasks.h"
#include "runtime/task_group.h"

namespace sluice::runtime::this_task {

namespace {

// Of what is around all scopes.
std::stop_token token_of_group(const Task& task) {
    return task.group != nullptr ? task.group->stop_token() : std::stop_token();
}

}  // namespace

std::stop_token stop_token() {
    Task& task = *waiting_task();
    return task.stop_scope != nullptr ? task.stop_scope->token() : token_of_group(task);
}

StopScope::StopScope(std::stop_token token)
    : task_(*waiting_task()),
      around_(std::exchange(task_.stop_scope, this)),
      cancellable_before_(std::exchange(task_.cancellable, true)),
      token_(std::move(token)) {
    callback_.emplace(token_, Cancel{*this});
}

// A group cancels its tasks before it asks its own token, so this one may be here before that was asked; then
// whoever holds the scope's token must hear of it from us. No request is under way after the callback was
// destroyed, so what it counted is there to be taken back.
StopScope::~StopScope() {
    if (either_ && task_.cancel_requested.load(std::memory_order_acquire) != 0)
        either_->source.request_stop();
    either_.reset();
    callback_.reset();
    if (stopped_) task_.cancel_requested.fetch_sub(kOneStop, std::memory_order_relaxed);
    task_.cancellable = cancellable_before_;
    task_.stop_scope = around_;
}

// As runtime::cancel(), but counted.
void StopScope::Cancel::operator()() const noexcept {
    scope.stopped_ = true;
    // seq_cst: see runtime::cancel().
    scope.task_.cancel_requested.fetch_add(kOneStop, std::memory_order_seq_cst);
    if (scope.task_.wait.cancel_exposed()) unpark(&scope.task_);
}

std::stop_token StopScope::token() {
    if (either_) return either_->source.get_token();
    std::stop_token around = around_ != nullptr ? around_->token() : token_of_group(task_);
    if (!around.stop_possible()) return token_;
    if (!token_.stop_possible()) return around;
    return either_.emplace(token_, around).source.get_token();
}

}  // namespace sluice::runtime::this_task
