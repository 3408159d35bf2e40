#pragma once

// A request that a limit holds until its turn (`action: delay`): the task parks here, in line, until all its
// limits admit the request, for the limit's max_delay at most. Who cannot have its turn by then, by the rate
// and by what waits before it, is refused at once and not held in vain.

#include <chrono>
#include <functional>
#include <optional>

#include "runtime/time.h"
#include "service/limit/waiting_room.h"
#include "service/policy/decide.h"

namespace sluice::policy {

enum class Turn : unsigned char {
    decided,   // the verdict is: admitted, limited, or banned meanwhile
    gone,      // the client has hung up, or the task was cancelled
    draining,  // nobody is held while the service ends
};

/// How soon a request that is held notices what else may end that.
inline constexpr runtime::Duration kHeldWatch = std::chrono::milliseconds(500);

/// REQUIRES: verdict.kind is delayed. Parks. `ended` is asked now and then: `gone` or `draining` end the
/// waiting, and the verdict stays delayed. `held`: whether the request was, for however short.
Turn await_turn(limit::ClientTable& table, limit::WaitingRoom& room, Verdict& verdict, const Address& client,
                const std::function<std::optional<Turn>()>& ended, bool& held);

}  // namespace sluice::policy
