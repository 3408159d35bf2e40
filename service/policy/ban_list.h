#pragma once

// Bans as an operator sees them: how one is written and found again, and who is shut out by a word. For the
// admin listener and the log; allocates.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "service/limit/bans.h"
#include "service/limit/client_table.h"
#include "service/policy/policy.h"

namespace sluice::policy {

/// A ban with the limit that it is under; nullptr: of addresses, whatever they ask for.
struct ListedBan {
    const Limit* limit;
    limit::Ban ban;

    /// As KeyText writes keys: `192.0.2.7`, `2001:db8::/64`, `header:X-Api-Key#0123456789abcdef`.
    std::string key() const;
};

/// As the configuration in force has it; nullopt: its limit is gone from that.
std::optional<ListedBan> listed(const Policy& policy, const limit::Ban& ban);

struct BanListing {
    std::vector<ListedBan> bans;  // the newest first
    std::uint64_t total = 0;
};
/// `under`: only that limit's.
BanListing list_bans(const Policy& policy, const limit::Bans& bans, std::size_t top, limit::Nanos now,
                     const Limit* under = nullptr);

enum class NotBanned : std::uint8_t { unknown_key, no_room };

/// Shuts a key out. An address, or one with a prefix, whatever it asks for; without a prefix, all of the
/// client that it belongs to (`client.ipv4_prefix`, `ipv6_prefix`). What else KeyText writes, under every
/// limit whose keys are of that kind, whether the client is known or not. Returns what was made.
std::expected<std::vector<ListedBan>, NotBanned> ban_key(const Policy& policy, limit::Bans& bans,
                                                         limit::Prefixes client, std::string_view key,
                                                         limit::Nanos duration, limit::Nanos now);

/// Lets a key in: lifts every ban that keeps it out. An address is kept out by a ban of a block that it is
/// in, too. Returns what was lifted.
std::vector<ListedBan> lift_bans(const Policy& policy, limit::Bans& bans, std::string_view key,
                                 limit::Nanos now);

/// Lets everybody in whom that limit shuts out, or, without one, everybody: what is made meanwhile stays.
/// Returns what was lifted, all counted, and the newest `top` of it.
BanListing lift_all_bans(const Policy& policy, limit::Bans& bans, const Limit* under, std::size_t top,
                         limit::Nanos now);

/// When the last ban ends that keeps a client of a limit out; 0: none does.
limit::Nanos banned_until(const limit::Bans& bans, const Limit& limit, const limit::ClientKey& key,
                          limit::Nanos now);

}  // namespace sluice::policy
