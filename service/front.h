#pragma once

// The addresses that clients connect to, as a set: opened, closed and exchanged as the configuration says. A
// listener that stays keeps its socket; one that goes takes what the kernel had accepted for it, and keeps
// every connection.

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "runtime/wait_group.h"
#include "service/proxy/context.h"
#include "service/proxy/listener.h"

namespace sluice {

/// Opens a listening socket at an address of the configuration. A name is looked up. The error says which and
/// why.
std::expected<runtime::TcpListener, std::string> open_socket(const config::Address& address);

class Front {
  public:
    explicit Front(proxy::Context& context) : context_(context) {}
    ~Front() { close(); }
    Front(const Front&) = delete;

    /// Opens what is new in `wanted`, as far as all of it can be opened; else nothing has changed, and the
    /// error says why. The new listeners accept only after commit(), which also closes those that are no
    /// longer wanted; or never, after rollback().
    std::expected<void, std::string> prepare(const std::vector<config::Listen>& wanted);
    void commit();
    void rollback() { prepared_.clear(); }

    /// Closes all, and returns when their tasks have ended.
    void close();

  private:
    // Shared with the listener's task, so that its socket goes when both are through with it.
    using Listeners = std::vector<std::shared_ptr<proxy::Listener>>;

    proxy::Context& context_;
    Listeners open_;
    Listeners prepared_;  // of the set that is wanted: new ones
    std::vector<config::Listen> wanted_;
    runtime::WaitGroup tasks_;
};

}  // namespace sluice
