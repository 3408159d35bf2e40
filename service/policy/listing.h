#pragma once

// The clients of the limits as an operator sees them: how a key is written and read back, and the first of
// them by what was denied, allowed or seen last. For the admin listener; allocates, and must not be called on
// the way of a request but for KeyText.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "service/limit/client_table.h"
#include "service/policy/policy.h"

namespace sluice::policy {

/// A key as text, without allocating: `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/64` (an address under the
/// prefix of its limit), `global`, `unix:` (who has no address), or what the key is made of and 64 bits of
/// its digest: `header:X-Api-Key#0123456789abcdef`.
class KeyText {
  public:
    KeyText(const Limit& limit, const limit::ClientKey& key);
    /// A description that leaves no room for the digest is cut.
    std::string_view view() const { return {room_.data(), size_}; }

  private:
    std::array<char, 128> room_;
    std::size_t size_ = 0;
};

/// One client under one limit.
struct ListedClient {
    const Limit* limit;
    limit::ClientRecord record;
    std::uint64_t remaining = 0;       // whole tokens left
    std::uint32_t unseen_seconds = 0;  // since it was seen last

    /// Under a limit that counts requests in flight: how many are.
    std::optional<std::uint64_t> in_flight() const {
        return limit->rule.in_flight() ? std::optional<std::uint64_t>(record.state.fraction) : std::nullopt;
    }
    std::string key() const { return std::string(KeyText(*limit, record.key).view()); }
};

enum class ListOrder : std::uint8_t { denied, allowed, recent };

struct Listing {
    std::vector<ListedClient> clients;  // the first of them
    std::uint64_t total = 0;            // all that match
};

/// The first `top` clients of the limit of that name, or of all limits when it is empty. Looks at every entry
/// of the table, a shard at a time (a million: some 20 ms), and keeps `top` of them.
Listing list_clients(const Policy& policy, const limit::ClientTable& table, std::string_view limit,
                     std::size_t top, ListOrder order, limit::Nanos now);

/// The clients that a key stands for, under every limit that knows it. An address stands for the prefix that
/// it is in, whatever each limit's prefix is; an address with a prefix, or a digest, for what KeyText writes
/// the same way.
std::vector<ListedClient> find_clients(const Policy& policy, const limit::ClientTable& table,
                                       std::string_view key, limit::Nanos now);

/// Forgets them: their next requests start with full buckets, no refusal counts towards a ban, and bans that
/// followed from refusals are lifted. Returns those that were known.
std::vector<ListedClient> forget_clients(const Policy& policy, limit::ClientTable& table,
                                         std::string_view key, limit::Nanos now);

}  // namespace sluice::policy
