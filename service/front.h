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
#include "service/tls/ticket_keys.h"

namespace sluice {

/// Opens a listening socket at an address of the configuration. A name is looked up. The error says which and
/// why.
std::expected<runtime::TcpListener, std::string> open_socket(const config::Address& address,
                                                             bool reuse_port = false);

/// Where a socket that was opened so listens, as text: with the port that the kernel chose where it was to.
std::string bound_text(const config::Address& address, const runtime::Endpoint& local);

class Front {
  public:
    explicit Front(proxy::Context& context) : context_(context) {}
    ~Front() { close(); }
    Front(const Front&) = delete;

    /// Opens what is new in `wanted` and reads its certificates, as far as all of it can be; else nothing has
    /// changed, and the error says why. The new listeners accept only after commit(), which also closes those
    /// that are no longer wanted; or never, after rollback(). Parks for a moment where a port goes on at
    /// another address. What commit() has no memory for, the next call of it does.
    std::expected<void, std::string> prepare(const std::vector<config::Listen>& wanted);
    void commit();
    void rollback() { planned_.clear(); }

    /// Where it listens, as text.
    std::string addresses() const;

    /// Closes all, and returns when their tasks have ended. Where a successor listens too (reuse_port), it
    /// gets what comes from now on, and what is under way has a moment to arrive here. So it has when
    /// `elsewhere` says that a listener which is not ours has done the same.
    void close(bool elsewhere = false);

  private:
    // Shared with the listener's task, so that its socket goes when both are through with it.
    using ListenerPtr = std::shared_ptr<proxy::Listener>;
    using EntrancesPtr = std::shared_ptr<const proxy::Entrances>;

    // One address of the set that is wanted.
    struct Planned {
        EntrancesPtr entrances;
        ListenerPtr listener;
        bool fresh;  // opened for it
    };
    std::expected<EntrancesPtr, std::string> entrances_at(const std::vector<config::Listen>& wanted,
                                                          const config::Address& address);
    std::expected<Planned, std::string> plan(EntrancesPtr entrances,
                                             const std::vector<config::Listen>& wanted) const;
    void close_all(const std::vector<ListenerPtr>& leaving);
    std::expected<runtime::TcpListener, std::string> open_beside(
        const config::Listen& listen, const std::vector<config::Listen>& wanted) const;

    proxy::Context& context_;
    const std::shared_ptr<tls::TicketKeys> ticket_keys_ = std::make_shared<tls::TicketKeys>();
    std::vector<ListenerPtr> open_;
    std::vector<std::weak_ptr<proxy::Listener>> leaving_;  // by the last commit()
    std::vector<Planned> planned_;
    runtime::WaitGroup tasks_;
};

}  // namespace sluice
