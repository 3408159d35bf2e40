#include "service/ban_expiry.h"

#include <optional>

#include "runtime/this_task.h"
#include "service/policy/ban_list.h"

namespace sluice {

// A part of the table, then the others' turn.
void expire_bans(proxy::Context& context) {
    limit::Bans& bans = context.clients.bans();
    if (!bans.any()) return;
    const auto snapshot = context.snapshots.current();
    for (std::size_t part = 0; part < limit::Bans::kParts; ++part) {
        const runtime::Time now = runtime::now();
        bans.expire(part, now.time_since_epoch().count(), [&](const limit::Ban& ban) {
            const auto held_back = context.bans_expired.permit(now);
            const auto listed = held_back ? policy::listed(*snapshot->policy, ban) : std::nullopt;
            if (listed)
                context.telemetry.log.info("ban expired",
                                           {{"key", listed->key()}, {"held_back", *held_back}});
        });
        runtime::this_task::yield();
    }
}

}  // namespace sluice
