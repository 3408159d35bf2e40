#pragma once

// What outlives a reload of what limits have counted: the table of clients, and for each limit an account,
// its number in the table and its counters. A limit that keeps its name, key (where the address is part of
// it, under the same prefix) and algorithm keeps its account, also over configurations without it.
//
// There are 250 numbers. When all are taken, a new limit gets that of the one longest out of force, and all
// that was counted under it is forgotten first; never one of an account that somebody holds: a configuration
// that requests still use, or a tunnel that holds a place of the limit.
//
// accounts() is called by the loader only, one load at a time; any thread may use the table at any time.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/model.h"
#include "service/limit/client_table.h"
#include "service/limit/digest.h"
#include "service/limit/secret.h"
#include "service/telemetry/counters.h"

namespace sluice::policy {

class Ledger {
  public:
    Ledger(std::uint64_t clients_max, unsigned workers) : table(clients_max), workers_(workers) {}

    /// Values; as long as there is one, the number is nobody else's.
    struct Account {
        limit::LimitId id;
        std::shared_ptr<telemetry::LimitCounters> counters;
    };
    /// The accounts of a configuration's limits, in their order. Throws std::length_error when all numbers
    /// are held. May walk the table, 40 ms for a million clients.
    std::vector<Account> accounts(std::span<const config::Limit> limits, const config::Client& client = {});

    const limit::DigestSecret& secret() const { return secret_; }

    limit::ClientTable table;

  private:
    struct Kept {
        Account account;
        std::uint64_t load;  // the last that it was in
    };

    Kept& enter(std::string identity, std::shared_ptr<telemetry::LimitCounters> counters);
    std::map<std::string, Kept>::iterator oldest_unused();

    const unsigned workers_;
    const limit::DigestSecret secret_ = limit::random_secret();
    std::map<std::string, Kept> kept_;  // by what must stay the same
    std::uint64_t loads_ = 0;
};

}  // namespace sluice::policy
