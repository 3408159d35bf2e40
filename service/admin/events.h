#pragma once

#include <memory>
#include <string>

#include "runtime/mutex.h"
#include "runtime/time.h"
#include "service/admin/request.h"
#include "service/admin/sources.h"

namespace sluice::admin {

struct Stats;

/// `GET /events`: what /stats says, once a second, as server-sent events (HTML Living Standard §9.2). Each
/// has besides, under "window", what happened since the one before: its length and the latencies in it. An
/// event is made by whoever needs it first, and is the same for all who listen; none is while nobody does.
class Events {
  public:
    explicit Events(const Sources& sources);
    ~Events();
    Events(const Events&) = delete;

    /// For one client. Must not outlive this object.
    Response stream();

  private:
    struct Event {
        runtime::Time made;
        std::string text;
    };
    using EventPtr = std::shared_ptr<const Event>;

    void send_to(const Stream& client);
    EventPtr after(const EventPtr& last);

    const Sources& sources_;

    runtime::Mutex lock_;
    EventPtr newest_;                 // guarded by lock_
    std::unique_ptr<Stats> figures_;  // of newest_; 15 KB: not on a stack; guarded by lock_
};

}  // namespace sluice::admin
