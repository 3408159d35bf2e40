#include "service/proxy/upload.h"

#include "runtime/go.h"

namespace sluice::proxy {

void Upload::start() {
    started_ = true;
    runtime::go([this] { run(); });
}

void Upload::stop() {
    if (!started_ || joined_) return;
    joined_ = true;
    {
        const std::scoped_lock hold(lock_);
        stopped_ = true;
        if (task_ != nullptr) runtime::cancel(task_);
    }
    done_.acquire();
}

void Upload::run() {
    bool stopped = false;
    {
        const std::scoped_lock hold(lock_);
        task_ = runtime::current_task();
        stopped = stopped_;
    }
    Relay::Result sent;
    while (!stopped && !relay_.done()) {
        sent = relay_.pump(request_.room());
        if (!sent) break;
    }
    {
        const std::scoped_lock hold(lock_);
        task_ = nullptr;
        stopped = stopped_;
    }
    if (!sent && !stopped) note(sent.error());
    if (request_.body().done()) request_.leave(relay_.left());  // whether the last of it was sent or not
    ended_.store(runtime::now().time_since_epoch().count(), std::memory_order_release);
    done_.release();
}

// An upstream that closed may have answered before it did: that answer is still worth reading.
void Upload::note(const Failure& failure) {
    failure_ = failure;
    if (failure.source == Source::client || failure.upstream == telemetry::UpstreamFailure::stall_timeout) {
        upstream_.cancel();
    }
}

}  // namespace sluice::proxy
