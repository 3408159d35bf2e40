#include "service/proxy/warnings.h"

#include <optional>

#include "service/policy/listing.h"
#include "service/policy/rate_fields.h"
#include "service/proxy/address_text.h"

namespace sluice::proxy {

void warn_of_ignored_fields(Context& context, const policy::Address& peer, runtime::Time now) {
    const auto held_back = context.forwarding_ignored.permit(now);
    if (!held_back) return;
    context.telemetry.log.warn(
        "forwarding fields of a peer that is not trusted are replaced; if it is a proxy of yours, all its "
        "clients count as one",
        {{"peer", AddressText(peer).view()},
         {"setting", "client.trusted_proxies"},
         {"held_back", *held_back}});
}

void watch_for_one_client(Context& context, const policy::Address& client, std::string_view address_from,
                          runtime::Time now) {
    std::optional<policy::OneClient::Found> found;
    context.one_client.update([&](policy::OneClient& mine, telemetry::Adder add) {
        if (add.alone()) found = mine.count(client);
    });
    if (!found) [[likely]]
        return;
    const auto held_back = context.one_client_found.permit(now);
    if (!held_back) return;
    context.telemetry.log.warn(
        "nearly all requests that come through proxies are of one client; if it is a proxy itself, or a "
        "proxy does not tell whom it asks for, all its clients count as one",
        {{"client", AddressText(found->client).view()},
         {"requests", found->requests},
         {"of_the_last", policy::OneClient::kWindow},
         {"settings", "client.trusted_proxies, client.address_from"},
         {"address_from", address_from},
         {"held_back", *held_back}});
}

// A second at least lies between two lines: whoever is banned by the thousand fills no disk.
void tell_of_ban(Context& context, const policy::Verdict& verdict, runtime::Time now) {
    const policy::Limit& limit = *verdict.refused_by->limit;
    const policy::KeyText key(limit, verdict.refused_by->key);
    auto& log = context.telemetry.log;
    if (verdict.strike == limit::Bans::Strike::no_room) {
        if (const auto held_back = context.bans_without_room.permit(now))
            log.warn("not banned: there are as many bans as clients.max; the limit goes on refusing",
                     {{"limit", limit.settings.name}, {"key", key.view()}, {"held_back", *held_back}});
    } else if (const auto held_back = context.bans_made.permit(now)) {
        log.info("banned", {{"limit", limit.settings.name},
                            {"key", key.view()},
                            {"seconds", policy::whole_seconds(limit.ban->duration)},
                            {"held_back", *held_back}});
    }
}

}  // namespace sluice::proxy
