#pragma once

// One address that clients connect to, and the task that accepts them.

#include <memory>
#include <utility>

#include "config/model.h"
#include "runtime/tcp.h"

namespace sluice::proxy {

struct Context;

class Listener {
  public:
    Listener(Context& context, const config::Listen& settings, runtime::TcpListener socket)
        : context_(context),
          settings_(std::make_shared<const config::Listen>(settings)),
          socket_(std::move(socket)) {}

    /// The body of the listener's task: accepts until close(), and turns away what is beyond max.connections.
    void run();
    /// Any thread. run() returns once it has taken what the kernel had accepted by then.
    void close() { socket_.close(); }

    const config::Listen& settings() const { return *settings_; }
    const runtime::Endpoint& local() const { return socket_.local(); }

  private:
    void turn_away(runtime::TcpStream stream);

    Context& context_;
    const std::shared_ptr<const config::Listen> settings_;  // its connections may outlive it
    runtime::TcpListener socket_;
};

}  // namespace sluice::proxy
