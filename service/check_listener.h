#pragma once

// The listener for decisions alone (`check` in the configuration): opened, closed and exchanged as the
// configuration says. One that goes answers what it was asked.
//
// Whoever can reach it is a proxy by definition: it is believed about who the client is, and needs no token.

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "runtime/wait_group.h"
#include "service/admin/decisions.h"
#include "service/admin/server.h"

namespace sluice {

class CheckListener {
  public:
    /// `decide` must outlive it.
    CheckListener(const admin::Decide& decide, telemetry::Log& log) : decide_(decide), log_(log) {}
    CheckListener(const CheckListener&) = delete;

    /// Opens what is new; else nothing has changed, and the error says why. It accepts only after commit(),
    /// which also ends the one before; or never, after rollback(). What commit() has no memory for, the next
    /// call of it does.
    std::expected<void, std::string> prepare(const config::Config& config);
    void commit();
    void rollback() { prepared_.reset(); }

    /// Where it listens, as text; nullopt: there is none.
    std::optional<std::string> address() const;

    /// Where a successor listens too, it gets what comes from now on; true then: what is under way here needs
    /// a moment to arrive.
    bool hand_over() { return shared_ && current_ && current_->hand_over(); }
    /// A drain: no more connections; those that there are end behind their answer, or when they have asked
    /// nothing for half a second.
    void finish();
    /// Connections that there are, of listeners that go as well.
    std::size_t open() const;
    /// Ends all.
    void cancel();
    /// cancel(), and returns when their tasks have ended.
    void close();

  private:
    using Listening = std::shared_ptr<admin::Server>;  // shared with its task

    const admin::Decide& decide_;
    telemetry::Log& log_;
    Listening current_, prepared_;
    std::vector<Listening> going_;
    std::optional<config::Address> address_, wanted_;
    bool shared_ = false, wanted_shared_ = false;  // the port, with a successor
    std::size_t connections_max_ = 0;
    runtime::WaitGroup tasks_;
};

}  // namespace sluice
