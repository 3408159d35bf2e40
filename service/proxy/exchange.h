#pragma once

// One request and its answer, from top to bottom: read, identify, decide, then reply or forward, and account
// in any case. Lives on the stack of the task that serves the connection, for one request.

#include <optional>
#include <string_view>

#include "runtime/time.h"
#include "service/http/reply.h"
#include "service/policy/decide.h"
#include "service/proxy/buffers.h"
#include "service/proxy/context.h"
#include "service/proxy/failure.h"
#include "service/proxy/forward.h"
#include "service/proxy/incoming.h"
#include "service/proxy/prepared_refusals.h"

namespace sluice::policy {
class Slots;
}

namespace sluice::proxy {

class Connection;

/// What becomes of the connection.
enum class After : unsigned char {
    next,       // it waits for another request
    close,      // nothing is unread
    linger,     // the client may be sending still
    cut_short,  // so it may, but what it sends is no HTTP: less patience
    reset,      // an answer was cut short, and must not look complete
    tunnel,     // HTTP has ended: it is a tunnel, to be started
};

class Exchange {
  public:
    Exchange(Context& context, Connection& client, Buffers& buffers);

    /// Serves one request, which must begin by `first_by`. `reported`: Incoming::read's. Parks.
    After run(runtime::Time first_by, runtime::Time reported);
    /// When the answer had been sent. REQUIRES: run() has returned After::next.
    runtime::Time ended() const { return ended_; }
    /// Bytes of the other protocol that were sent with the answer. REQUIRES: run() has returned
    /// After::tunnel.
    std::uint64_t sent_behind_head() const { return outcome_.bytes_out; }

  private:
    After serve();
    After shed();
    After out_of_memory();
    After forward(const policy::Request& request, const policy::Client& client, const policy::Route& route,
                  const policy::Verdict& verdict, policy::Slots& slots);
    After open_tunnel(Forward& forward, const policy::Route& route, policy::Slots& slots);
    std::uint64_t hash_of(const policy::Address& client) const;
    void note_forward(const Forward& forward, const upstream::Upstream& upstream);

    /// An answer of our own, in Buffers::answer. A head with its body, or apart from it.
    struct Written {
        std::string_view head, body;
        bool keep;
    };

    After fail(const Failure& failure, const policy::Verdict& verdict);
    After limited(const policy::Verdict& verdict);
    std::optional<RefusalForm> form_of(const policy::Verdict& verdict, bool keep) const;
    After write_refusal(const policy::Verdict& verdict, const RefusalForm* form);
    After banned(const policy::Verdict& verdict);
    After respond(const config::Respond& respond, const policy::Verdict& verdict);
    After reply(const http::Reply& reply);
    Written write(http::Reply reply);
    After refuse(const Failure& failure, std::string_view extra = {});
    After send(std::string_view head, std::string_view body, bool keep);
    bool may_keep() const;
    After last_answer() const;
    std::optional<After> hold(policy::Verdict& verdict);
    void complete_outcome();
    void account();

    // Fixed.
    Context& context_;
    Connection& client_;
    Buffers& buffers_;
    const Snapshot& snapshot_;

    Incoming request_;
    policy::Address asker_;  // the client, once its fields are known: the peer, until then
    telemetry::RequestOutcome outcome_;
    // As read last. What is allowed, and how long others may take, counts from here: a slow head, or a turn
    // that was awaited, must not use up the patience with the upstream.
    runtime::Time now_{};
    runtime::Time ended_{};
    policy::Slots* slots_ = nullptr;  // what it holds, once it was decided about
};

}  // namespace sluice::proxy
