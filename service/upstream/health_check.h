#pragma once

// Asking a server how it is: GET with the configured path, on a connection of its own, over TLS when requests
// go to it so. Healthy is an answer of 2xx or 3xx within the timeout.

#include <optional>
#include <string>

#include "config/model.h"
#include "runtime/time.h"

namespace sluice::upstream {

class Server;

/// From single checks to a state: another one only after so many checks in a row that say so.
class CheckCount {
  public:
    /// `healthy`: what is thought before the first check.
    CheckCount(const config::Health& settings, bool healthy)
        : healthy_after_(settings.healthy_after),
          unhealthy_after_(settings.unhealthy_after),
          healthy_(healthy) {}

    /// Whether this check changes the state.
    bool note(bool good) {
        if (good == healthy_) {
            against_ = 0;
            return false;
        }
        if (++against_ < (good ? healthy_after_ : unhealthy_after_)) return false;
        healthy_ = good;
        against_ = 0;
        return true;
    }
    bool healthy() const { return healthy_; }

  private:
    const unsigned healthy_after_;
    const unsigned unhealthy_after_;
    bool healthy_;
    unsigned against_ = 0;  // in a row
};

/// One check (parks). Empty: healthy; else what is wrong, in words. None: it could not be made, as we are out
/// of descriptors or memory, which says nothing about the server.
std::optional<std::string> check_health(Server& server, const config::Health& settings);

}  // namespace sluice::upstream
