#pragma once

// The rest of a request's body on its way to the upstream, in a task of its own: meanwhile the exchange waits
// for the answer, which may come before the body has gone (RFC 9112, section 9.5). A request whose
// body came with its head needs none of this.
//
// Owned by the task that waits for the answer, which joins it before anything that it refers to goes.

#include <atomic>
#include <mutex>
#include <optional>

#include "runtime/semaphore.h"
#include "runtime/task.h"
#include "service/proxy/incoming.h"
#include "service/proxy/relay.h"

namespace sluice::proxy {

class Upload {
  public:
    /// `relay` has begun; `upstream` is where it goes to.
    Upload(Incoming& request, Relay& relay, tls::Stream& upstream)
        : request_(request), relay_(relay), upstream_(upstream) {}
    ~Upload() { stop(); }
    Upload(const Upload&) = delete;

    /// Starts the task. A failure by which no answer is worth waiting for (the client's, or an upstream that
    /// takes nothing) ends the waits on the upstream's stream. `on_hold`: the client sends nothing before it
    /// is told to; until it does, or is told so by go_on(), its silence is not held against it.
    void start(bool on_hold);
    void go_on() { told_.store(true, std::memory_order_relaxed); }
    /// Whether the client has begun to send, or was told to. Until then it is the upstream's turn.
    bool on_hold() const { return on_hold_.load(std::memory_order_relaxed); }
    /// Ends the task wherever it is, and waits for that. May be called twice, or without a start(). Until
    /// then the request's body is the task's.
    void stop();

    bool started() const { return started_; }
    /// When the last of the body was sent, or sending failed; none while the task runs.
    std::optional<runtime::Time> ended() const {
        const auto at = ended_.load(std::memory_order_acquire);
        return at == 0 ? std::nullopt : std::optional(runtime::Time(runtime::Duration(at)));
    }
    /// Why the body was not sent. REQUIRES: ended() or stop().
    const std::optional<Failure>& failure() const { return failure_; }

  private:
    void run();
    void hold();

    Incoming& request_;
    Relay& relay_;
    tls::Stream& upstream_;

    bool started_ = false;  // of the owner, both
    bool joined_ = false;
    runtime::Semaphore done_{0};
    std::optional<Failure> failure_;  // written before ended_
    std::atomic<runtime::Duration::rep> ended_{0};

    std::atomic<bool> on_hold_{false};
    std::atomic<bool> told_{false};

    std::mutex lock_;
    runtime::Task* task_ = nullptr;  // while it may be cancelled; guarded by lock_
    bool stopped_ = false;           // guarded by lock_
};

}  // namespace sluice::proxy
