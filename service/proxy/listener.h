#pragma once

// One address that clients connect to, and the task that accepts them.

#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "runtime/semaphore.h"
#include "runtime/tcp.h"
#include "service/proxy/entrances.h"
#include "service/telemetry/log.h"

namespace sluice::proxy {

struct Context;

class Listener {
  public:
    Listener(Context& context, std::shared_ptr<const Entrances> entrances, runtime::TcpListener socket)
        : context_(context), socket_(std::move(socket)), entrances_(std::move(entrances)) {}

    /// The body of the listener's task: accepts until close(), and turns away what is beyond max.connections
    /// or comes while memory is short.
    void run();
    /// Any thread. run() returns once it has taken what the kernel had accepted by then.
    void close() { socket_.close(); }
    /// Whether run() has returned, and the kernel accepts no more, by then; parks. Once.
    bool ended_by(runtime::Time time) { return ended_.try_acquire_until(time); }
    /// TcpListener's; only of a listener that is to share its port for good, as it was opened.
    bool hand_over() { return reuse_port_ && socket_.hand_over(); }
    bool reuse_port() const { return reuse_port_; }
    /// TcpListener's.
    void turn_deaf() { socket_.turn_deaf(); }
    void share_port(bool shared) { socket_.share_port(shared); }

    std::shared_ptr<const Entrances> entrances() const {
        const std::scoped_lock hold(lock_);
        return entrances_;
    }
    /// A reload: of connections accepted from now on. REQUIRES: the address is the same.
    void set_entrances(std::shared_ptr<const Entrances> entrances) {
        const std::scoped_lock hold(lock_);
        entrances_.swap(entrances);
    }
    const config::Address& address() const { return address_; }
    /// TcpListener's.
    const runtime::Endpoint& local() const { return socket_.local(); }

  private:
    void turn_away(runtime::TcpStream stream, bool secure, std::string_view answer);
    void tell_scarcity(const runtime::error_code& error);

    Context& context_;
    runtime::TcpListener socket_;
    runtime::Semaphore ended_{0};
    telemetry::Throttle scarcity_{};

    mutable std::mutex lock_;
    std::shared_ptr<const Entrances> entrances_;  // connections may outlive it; guarded by lock_
    const config::Address address_ = entrances_->entries().front().address;
    const bool reuse_port_ = entrances_->entries().front().reuse_port;
};

}  // namespace sluice::proxy
