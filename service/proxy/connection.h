#pragma once

// One client's connection, from accept to close.
//
// Between requests it is this object and a slot in the netpoller: no task, no stack, no buffer. When bytes
// come, a task is started that reads and answers requests until none is left, and then lets the connection
// doze again. The buffers are on that task's stack. It owns itself: it is deleted by the task that closes it.
// When an answer changes the protocol, a Tunnel takes its place, and ends it. One that we end is read from
// until its client has ended it, too, dozing like an idle one.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/netpoller.h"
#include "service/policy/identify.h"
#include "service/proxy/buffers.h"
#include "service/proxy/context.h"
#include "service/proxy/entrances.h"
#include "service/tls/stream.h"

namespace sluice::proxy {

class Tunnel;
enum class After : unsigned char;  // exchange.h

class Connection final : public runtime::Dormant, public Registered {
  public:
    /// Takes over an accepted stream, for which a place was claimed in the registry, and serves it. The first
    /// request must begin within `patience`.
    static void start(Context& context, std::shared_ptr<const Entrances> entrances, tls::Stream stream,
                      const runtime::Endpoint& peer, runtime::Duration patience);

    tls::Stream& stream() { return stream_; }
    /// Whether the client has reset the connection, or it was cancelled.
    bool hung_up() const { return stream_.hung_up(); }
    const config::Listen& entrance() const { return *entrance_; }
    const policy::Address& peer() const { return peer_; }

    /// The configuration for the next request; the same until the next call.
    const Snapshot& snapshot() {
        context_.snapshots.refresh(snapshot_, version_);
        return *snapshot_;
    }
    /// Of the configuration that snapshot() returned last.
    std::uint64_t snapshot_version() const { return version_; }
    /// Whether a request for this host belongs to an entrance that would have asked the client for a
    /// certificate, and has not come in by it.
    bool misdirected(std::string_view host) const { return entrances_->misdirected(*entrance_, host); }
    /// Whether another request may follow the present one, as far as we are concerned.
    bool goes_on() const;

    /// What it is from now on; begun once the exchange that made it has returned After::tunnel.
    void change_to(std::unique_ptr<Tunnel> tunnel);
    /// Closes and deletes it. The tunnel's.
    void end() { delete this; }

    /// A drain: an idle connection closes now; a tunnel may go on. Any thread, while it is in the registry.
    bool rouse() {
        return tunnel_.load(std::memory_order_relaxed) == nullptr &&
               !leaving_.load(std::memory_order_relaxed) && stream_.rouse();
    }
    /// The end of a drain: whatever it is doing, it closes now.
    void cancel();

  private:
    Connection(Context& context, std::shared_ptr<const Entrances> entrances, tls::Stream stream,
               const runtime::Endpoint& peer);
    ~Connection();
    static void woken(runtime::Dormant& self, runtime::Wake why);

    /// `reported`: of the first request, see Incoming::read().
    void serve(runtime::Time first_by, runtime::Time reported = {});
    void serve_requests(runtime::Time first_by, runtime::Time reported);
    bool introduce(ReceiveBuffer& buffer, runtime::Time deadline);
    After shake_hands(std::span<const char> early, runtime::Time deadline);
    bool rest(runtime::Time deadline);
    bool has_request();
    /// Both take it over: it may be gone on return.
    void leave(After after);
    void read_off();

    // Fixed.
    Context& context_;
    const std::shared_ptr<const Entrances> entrances_;

    // Of the task that serves, or of nobody while dozing.
    tls::Stream stream_;
    policy::Address peer_;
    const config::Listen* entrance_;  // one of entrances_; under TLS known behind the handshake
    bool introduced_;                 // true once peer_ is final: no PROXY header is expected any more
    std::shared_ptr<const Snapshot> snapshot_;
    std::uint64_t version_ = 0;
    std::uint64_t requests_ = 0;  // that were begun

    std::atomic<Tunnel*> tunnel_{nullptr};  // set once

    // Of a connection that was told to go, and is only read from until it does.
    std::atomic<bool> leaving_{false};
    std::uint32_t unread_max_ = 0;  // bytes
    runtime::Time left_by_{};
};

}  // namespace sluice::proxy
