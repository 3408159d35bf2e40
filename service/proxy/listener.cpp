#include "service/proxy/listener.h"

#include <new>
#include <utility>

#include <boost/asio/buffer.hpp>

#include "service/http/reply.h"
#include "service/proxy/connection.h"
#include "service/proxy/context.h"

namespace sluice::proxy {

void Listener::run() {
    socket_.when_scarce([this](const runtime::error_code& error) { tell_scarcity(error); });
    runtime::Endpoint peer;
    while (auto stream = socket_.accept(peer)) {
        const auto snapshot = context_.snapshots.current();
        auto entrances = this->entrances();
        const bool secure = entrances->acceptor() != nullptr;
        if (context_.overloaded.load(std::memory_order_relaxed)) [[unlikely]] {
            turn_away(std::move(*stream), secure, http::kLowOnMemory);
        } else if (context_.registry.admit(snapshot->config.max.connections)) {
            Connection::start(context_, std::move(entrances), std::move(*stream), peer,
                              snapshot->config.timeouts.head);
        } else {
            turn_away(std::move(*stream), secure, http::kOverloaded);
        }
    }
    ended_.release();
}

// One write into an empty send buffer, which cannot park, and no read: under a flood of connections this is
// all that each may cost. A client that had sent its request already may see a reset instead of the 503; one
// that is to be told under TLS sees nothing else.
void Listener::turn_away(runtime::TcpStream stream, bool secure, std::string_view answer) {
    context_.telemetry.counters.connection_refused();
    if (secure) return stream.reset();
    runtime::error_code ignored;
    stream.write_deadline(runtime::Time::min());
    stream.end_follows();
    stream.write_some(boost::asio::buffer(answer), ignored);
    stream.shutdown_send(ignored);
}

void Listener::tell_scarcity(const runtime::error_code& error) {
    const auto held_back = scarcity_.permit(runtime::now());
    if (!held_back) return;
    try {
        context_.telemetry.log.warn(
            "who connects waits: there is no descriptor (ulimit -n) or no memory for a connection",
            {{"address", address_.text}, {"reason", error.message()}, {"held_back", *held_back}});
    } catch (const std::bad_alloc&) {  // nor any to say so
    }
}

}  // namespace sluice::proxy
