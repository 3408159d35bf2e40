#include "service/policy/ban_list.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "service/policy/decide.h"
#include "service/policy/listing.h"

namespace sluice::policy {

namespace {

using limit::Ban;
using limit::BanKey;
using limit::ClientKey;

constexpr unsigned kMappedBits = 96;
constexpr unsigned kBits = 128;

/// A key as an operator writes it.
struct WrittenKey {
    bool is_address = false;
    Address address{};
    std::optional<unsigned> prefix;  // of 128 bits
};

/// nullopt: it looks like an address with a prefix, and is none.
std::optional<WrittenKey> read(std::string_view key) {
    WrittenKey written;
    const std::size_t slash = key.find('/');
    written.is_address = limit::parse_address(key.substr(0, slash), written.address);
    if (!written.is_address || slash == std::string_view::npos) return written;
    const std::string_view digits = key.substr(slash + 1);
    const bool in_ipv6 = key.contains(':');  // of ::ffff:192.0.2.0/120 the prefix counts all bits
    const unsigned mapped = limit::is_ipv4(written.address) && !in_ipv6 ? kMappedBits : 0;
    unsigned prefix = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc() || end != digits.data() + digits.size() || prefix > kBits - mapped)
        return std::nullopt;
    written.prefix = prefix + mapped;
    return written;
}

unsigned bits_of(const Address& address, limit::Prefixes prefixes) {
    return limit::is_ipv4(address) ? kMappedBits + prefixes.ipv4 : prefixes.ipv6;
}

/// The key that is shown as `text` under that limit: what is not an address.
std::optional<ClientKey> digest_key(const Limit& limit, std::string_view text) {
    if (text == "global") {
        const bool global = limit.key.description() == "global";
        return global ? std::optional(ClientKey::global()) : std::nullopt;
    }
    if (text == kUnixText)
        return limit.key.may_be_address() ? std::optional(ClientKey::of_unix_peers()) : std::nullopt;
    const std::size_t hash = text.rfind('#');
    if (hash == std::string_view::npos || text.size() - hash - 1 != 2 * ClientKey::kShownBytes)
        return std::nullopt;
    Address bytes{};
    for (std::size_t i = 0; i < ClientKey::kShownBytes; ++i) {
        const char* const digits = text.data() + hash + 1 + 2 * i;
        if (std::from_chars(digits, digits + 2, bytes[i + 1], 16).ptr != digits + 2) return std::nullopt;
    }
    const auto word = [&](std::size_t at) {
        std::uint64_t value;
        std::memcpy(&value, bytes.data() + at, sizeof value);
        return value;
    };
    const ClientKey key = ClientKey::of_digest(word(0), word(8));
    return KeyText(limit, key).view() == text ? std::optional(key) : std::nullopt;
}

/// The keys that `text` stands for, under each limit that has such keys.
template <class Visit>
void each_key(const Policy& policy, std::string_view text, const WrittenKey& written, Visit visit) {
    for (const Limit& limit : policy.limits()) {
        if (!written.is_address) {
            if (const auto key = digest_key(limit, text)) visit(BanKey::under(limit.account.id, *key));
            continue;
        }
        const unsigned bits = bits_of(written.address, limit.key.prefixes());
        if (!written.prefix || *written.prefix == bits)
            visit(BanKey::under(limit.account.id,
                                ClientKey::of_address(written.address, limit.key.prefixes())));
    }
}

/// Bans that come in any order, as a listing of them.
class Newest {
  public:
    Newest(const Policy& policy, std::size_t top) : policy_(policy), top_(top) {}

    void add(const Ban& ban) {
        const auto each = listed(policy_, ban);
        if (!each) return;
        ++listing_.total;
        auto& heap = listing_.bans;  // its front is the oldest of those kept
        if (heap.size() == top_) {
            if (top_ == 0 || !newer(*each, heap.front())) return;
            std::ranges::pop_heap(heap, newer);
            heap.pop_back();
        }
        heap.push_back(*each);
        std::ranges::push_heap(heap, newer);
    }
    BanListing take() {
        std::ranges::sort_heap(listing_.bans, newer);
        return std::move(listing_);
    }

  private:
    static bool newer(const ListedBan& a, const ListedBan& b) {
        if (a.ban.since != b.ban.since) return a.ban.since > b.ban.since;
        return a.ban.key.key < b.ban.key.key;
    }

    const Policy& policy_;
    const std::size_t top_;
    BanListing listing_;
};

}  // namespace

std::string ListedBan::key() const {
    if (limit) return std::string(KeyText(*limit, ban.key.key).view());
    const Address& address = ban.key.key.bytes();
    std::string text = limit::to_string(address);
    const unsigned prefix = ban.key.prefix;
    if (prefix < kBits) {
        const bool v4 = limit::is_ipv4(address) && prefix >= kMappedBits;
        text += '/' + std::to_string(v4 ? prefix - kMappedBits : prefix);
    }
    return text;
}

std::optional<ListedBan> listed(const Policy& policy, const Ban& ban) {
    if (ban.key.limit == BanKey::kAnyLimit) return ListedBan{nullptr, ban};
    for (const Limit& limit : policy.limits())
        if (limit.account.id == ban.key.limit) return ListedBan{&limit, ban};
    return std::nullopt;
}

BanListing list_bans(const Policy& policy, const limit::Bans& bans, std::size_t top, limit::Nanos now,
                     const Limit* under) {
    Newest newest(policy, top);
    bans.each(now, [&](const Ban& ban) {
        if (!under || ban.key.limit == under->account.id) newest.add(ban);
    });
    return newest.take();
}

std::expected<std::vector<ListedBan>, NotBanned> ban_key(const Policy& policy, limit::Bans& bans,
                                                         limit::Prefixes client, std::string_view key,
                                                         limit::Nanos duration, limit::Nanos now) {
    const auto written = read(key);
    if (!written) return std::unexpected(NotBanned::unknown_key);
    std::vector<BanKey> wanted;
    if (written->is_address)
        wanted.push_back(
            BanKey::of_block(written->address, written->prefix.value_or(bits_of(written->address, client))));
    else
        each_key(policy, key, *written, [&](const BanKey& each) { wanted.push_back(each); });
    if (wanted.empty()) return std::unexpected(NotBanned::unknown_key);

    std::vector<ListedBan> made;
    for (const BanKey& each : wanted) {
        if (!bans.put(each, now, now + duration)) return std::unexpected(NotBanned::no_room);
        made.push_back(*listed(policy, {each, now, now + duration, true}));
    }
    return made;
}

std::vector<ListedBan> lift_bans(const Policy& policy, limit::Bans& bans, std::string_view key,
                                 limit::Nanos now) {
    std::vector<ListedBan> lifted;
    const auto written = read(key);
    if (!written) return lifted;
    const auto lift = [&](const BanKey& each) {
        if (const auto ban = bans.find(each, now); ban && bans.lift(each, now))
            lifted.push_back(*listed(policy, *ban));
    };
    if (written->is_address) {
        const unsigned least = limit::is_ipv4(written->address) ? kMappedBits : 0;
        const unsigned last = written->prefix.value_or(kBits);
        for (unsigned prefix = written->prefix ? last : least; prefix <= last; ++prefix)
            lift(BanKey::of_block(written->address, prefix));
    }
    each_key(policy, key, *written, lift);
    return lifted;
}

BanListing lift_all_bans(const Policy& policy, limit::Bans& bans, const Limit* under, std::size_t top,
                         limit::Nanos now) {
    Newest newest(policy, top);
    const auto limit = under ? std::optional(under->account.id) : std::nullopt;
    bans.lift_all(limit, now, [&](const Ban& ban) { newest.add(ban); });
    return newest.take();
}

limit::Nanos banned_until(const limit::Bans& bans, const Limit& limit, const ClientKey& key,
                          limit::Nanos now) {
    const limit::Nanos under_it = ban_under(limit, bans, key, now);
    if (!key.is_address()) return under_it;
    return std::max(under_it, bans.until(key.bytes(), now, bits_of(key.bytes(), limit.key.prefixes())));
}

}  // namespace sluice::policy
