#pragma once

// One address that clients connect to, and the task that accepts them.

#include <memory>
#include <mutex>
#include <utility>

#include "config/model.h"
#include "runtime/tcp.h"

namespace sluice::proxy {

struct Context;

class Listener {
  public:
    Listener(Context& context, const config::Listen& settings, runtime::TcpListener socket)
        : context_(context),
          socket_(std::move(socket)),
          settings_(std::make_shared<const config::Listen>(settings)) {}

    /// The body of the listener's task: accepts until close(), and turns away what is beyond max.connections.
    void run();
    /// Any thread. run() returns once it has taken what the kernel had accepted by then.
    void close() { socket_.close(); }

    std::shared_ptr<const config::Listen> settings() const {
        const std::scoped_lock hold(lock_);
        return settings_;
    }
    /// A reload: of connections accepted from now on. REQUIRES: the address is the same.
    void set_settings(const config::Listen& settings) {
        const std::scoped_lock hold(lock_);
        settings_ = std::make_shared<const config::Listen>(settings);
    }
    const runtime::Endpoint& local() const { return socket_.local(); }

  private:
    void turn_away(runtime::TcpStream stream);

    Context& context_;
    runtime::TcpListener socket_;

    mutable std::mutex lock_;
    std::shared_ptr<const config::Listen> settings_;  // connections may outlive it; guarded by lock_
};

}  // namespace sluice::proxy
