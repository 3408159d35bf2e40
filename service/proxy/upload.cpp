#include "service/proxy/upload.h"

#include <boost/asio/error.hpp>

#include "runtime/go.h"

namespace sluice::proxy {

namespace {

// An upstream that closed may have answered before it did: that answer is still worth reading.
bool leaves_nothing_to_wait_for(const Failure& failure) {
    return failure.source == Source::client || failure.upstream == telemetry::UpstreamFailure::stall_timeout;
}

}  // namespace

void Upload::start(bool on_hold) {
    on_hold_.store(on_hold, std::memory_order_relaxed);
    runtime::go([this] { run(); });  // throws where there is no memory for a stack
    started_ = true;
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

void Upload::hold() {
    runtime::error_code error;
    while (on_hold_.load(std::memory_order_relaxed) && !told_.load(std::memory_order_relaxed)) {
        request_.stream().read_deadline(runtime::now() + kWatch);
        request_.stream().wait_readable(error);
        if (error != boost::asio::error::timed_out) break;
    }
    on_hold_.store(false, std::memory_order_relaxed);
}

void Upload::run() {
    bool stopped = false;
    {
        const std::scoped_lock hold(lock_);
        task_ = runtime::current_task();
        stopped = stopped_;
    }
    if (!stopped) hold();
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
    if (!sent && !stopped) failure_ = sent.error();
    if (request_.body().done()) request_.leave(relay_.left());  // whether the last of it was sent or not
    ended_.store(runtime::now().time_since_epoch().count(), std::memory_order_release);
    // Only now, so that whoever is woken finds out why.
    if (failure_ && leaves_nothing_to_wait_for(*failure_)) upstream_.cancel();
    done_.release();
}

}  // namespace sluice::proxy
