#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/tcp.h"
#include "runtime/wait_group.h"
#include "service/admin/router.h"
#include "service/telemetry/log.h"

namespace sluice::admin {

/// The admin listener: HTTP/1.1 for operators, probes and scrapers. A task for each connection, which answers
/// one call after the other. Everything is bounded: connections, the size of heads and bodies, the time that
/// a client may take for each. Beyond the connections one that idles gives way to the newcomer, the oldest
/// first, or else one that streams, so that a probe gets through; when all are answering calls, the newcomer
/// is told 503.
///
///     Server server(std::move(*listener), api(sources), {.token = "…"}, log);
///     go([&] { server.run(); });
///     …
///     server.close();   // run() returns when the last connection has ended
class Server {
  public:
    struct Options {
        std::string token;  // empty: none is needed
        /// The calls are somebody else's requests: any target is one, and the page that they come from is not
        /// ours to judge.
        bool for_others = false;
        std::size_t connections_max = 256;
        runtime::Duration idle = std::chrono::seconds(75);     // between two calls
        runtime::Duration receive = std::chrono::seconds(10);  // for a call, from its first byte
        runtime::Duration send = std::chrono::seconds(10);     // for an answer
    };

    static constexpr std::size_t kHeadBytesMax = 16 * 1024;
    static constexpr std::size_t kBodyBytesMax = 16 * 1024;

    Server(runtime::TcpListener listener, std::vector<Route> routes, Options options, telemetry::Log& log);
    Server(const Server&) = delete;

    /// Serves until close(). Parks.
    void run();

    /// Takes no more connections, and ends those that there are behind their next answer, or when they have
    /// asked nothing for half a second. Any thread.
    void finish();
    /// Takes no more connections, and ends those that there are, whatever they are doing. Any thread.
    void close();
    /// TcpListener's.
    bool hand_over() { return listener_.hand_over(); }
    void share_port(bool shared) { listener_.share_port(shared); }
    /// Connections that there are.
    std::size_t open() const;

    /// A reload: calls that begin from now on need this token, and streams end if it is another.
    void set_token(std::string token);
    /// A reload: no more are let in, and of those that idle so many go as there are too many.
    void set_connections_max(std::size_t most);

    const runtime::Endpoint& local() const { return listener_.local(); }

  private:
    class Connection;

    void start(runtime::TcpStream stream, const runtime::Endpoint& caller);
    bool make_room();
    void end_idle_if_finishing();
    void serve(std::unique_ptr<Connection> connection);
    Response respond(Request& request) const;
    bool may_call(const Request& request) const;
    bool is_of_foreign_page(const Request& request) const;

    // Fixed.
    const Router router_;
    const Options options_;
    telemetry::Log& log_;

    runtime::TcpListener listener_;
    runtime::WaitGroup serving_;

    // Guarded by mutex_, which is never held across a park.
    mutable std::mutex mutex_;
    std::string token_;
    std::size_t connections_max_;
    std::list<Connection*> connections_;
    bool finishing_ = false;
    bool closing_ = false;
};

}  // namespace sluice::admin
