#include "runtime/asio.h"

#include <mutex>

#include "runtime/scheduler_state.h"

namespace sluice::runtime {

namespace {

// One for each scheduler, made when it is first asked for.
struct AsioContext final : boost::asio::execution_context {
    ~AsioContext() {
        shutdown();
        destroy();
    }
};

}  // namespace

boost::asio::execution_context& Executor::query(boost::asio::execution::context_t) const {
    Scheduler::State& state = scheduler_->state();
    std::call_once(state.asio_once, [&] { state.asio = std::make_shared<AsioContext>(); });
    return *static_cast<AsioContext*>(state.asio.get());
}

namespace detail {

// The operation is initiated once the stack has been left: it may complete on another thread at once.
void wait_for_asio(AsioWait& wait) {
    const auto commit = [](void* arg, Task* task) {
        auto& self = *static_cast<AsioWait*>(arg);
        self.task = task;
        Scheduler& scheduler = *task->scheduler;
        scheduler.hold();
        try {
            self.initiate(self);
            return true;
        } catch (...) {
            scheduler.release();
            self.failure = std::current_exception();
            return false;
        }
    };
    waiting_task();
    park(WaitReason::asio, &wait, commit, &wait);
    if (wait.failure != nullptr) std::rethrow_exception(std::move(wait.failure));
}

void asio_done(AsioWait& wait) {
    Task* const task = wait.task;
    Scheduler& scheduler = *task->scheduler;
    unpark(task);
    scheduler.release();
}

}  // namespace detail

}  // namespace sluice::runtime
