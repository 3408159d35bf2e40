#include "service/policy/listing.h"

#include <algorithm>

#include <netinet/in.h>

#include "service/http/writer.h"

namespace sluice::policy {

namespace {

constexpr std::size_t kDigestBytes = 8;

using LimitsById = std::array<const Limit*, 256>;

LimitsById by_id(const Policy& policy, std::string_view name) {
    LimitsById limits{};
    for (const Limit& limit : policy.limits())
        if (name.empty() || limit.settings.name == name) limits[limit.account.id] = &limit;
    return limits;
}

ListedClient listed(const limit::ClientTable& table, const Limit& limit, const limit::ClientRecord& record,
                    limit::Nanos now) {
    return {&limit, record, table.peek(record, limit.rule, 0, now).remaining,
            limit::ClientTable::unseen_seconds(record.last_seen, now)};
}

/// Whether `a` comes before `b`; a client that was asked about neither way before one that was.
bool precedes(ListOrder order, const ListedClient& a, const ListedClient& b) {
    if (order == ListOrder::denied && a.record.denied != b.record.denied)
        return a.record.denied > b.record.denied;
    if (order == ListOrder::allowed && a.record.allowed != b.record.allowed)
        return a.record.allowed > b.record.allowed;
    if (a.unseen_seconds != b.unseen_seconds) return a.unseen_seconds < b.unseen_seconds;
    // Within a second, whose bucket is full again later has most likely asked later.
    if (a.record.state.tat != b.record.state.tat) return a.record.state.tat > b.record.state.tat;
    return a.record.key < b.record.key;
}

bool is_global(const limit::ClientKey& key) {
    return key == limit::ClientKey::global();
}

}  // namespace

KeyText::KeyText(const Limit& limit, const limit::ClientKey& key) {
    http::Writer to(room_);
    if (key.is_address()) {
        char text[INET6_ADDRSTRLEN];
        to << std::string_view(text, limit::to_chars(key.bytes(), text));
        const bool v4 = limit::is_ipv4(key.bytes());
        const unsigned prefix = v4 ? limit.key.prefixes().ipv4 : limit.key.prefixes().ipv6;
        if (prefix < (v4 ? 32U : 128U)) to << '/' << prefix;
    } else if (is_global(key)) {
        to << "global";
    } else if (key == limit::ClientKey::of_unix_peers()) {
        to << kUnixText;
    } else {
        constexpr std::string_view kHex = "0123456789abcdef";
        to << std::string_view(limit.key.description()).substr(0, room_.size() - 2 * kDigestBytes - 1) << '#';
        for (std::size_t i = 1; i <= kDigestBytes; ++i)  // the first byte is the same in all
            to << kHex[key.bytes()[i] >> 4] << kHex[key.bytes()[i] & 15];
    }
    size_ = to.text().size();
}

Listing list_clients(const Policy& policy, const limit::ClientTable& table, std::string_view limit,
                     std::size_t top, ListOrder order, limit::Nanos now) {
    const LimitsById limits = by_id(policy, limit);
    const auto before = [order](const ListedClient& a, const ListedClient& b) {
        return precedes(order, a, b);
    };
    Listing listing;
    auto& heap = listing.clients;  // its front is the last of those kept
    table.each([&](const limit::ClientRecord& record) {
        const Limit* of = limits[record.limit];
        if (!of) return;
        ++listing.total;
        const ListedClient client = listed(table, *of, record, now);
        if (heap.size() == top) {
            if (top == 0 || !before(client, heap.front())) return;
            std::ranges::pop_heap(heap, before);
            heap.pop_back();
        }
        heap.push_back(client);
        std::ranges::push_heap(heap, before);
    });
    std::ranges::sort_heap(heap, before);
    return listing;
}

std::vector<ListedClient> find_clients(const Policy& policy, const limit::ClientTable& table,
                                       std::string_view key, limit::Nanos now) {
    std::vector<ListedClient> found;
    const auto look = [&](const Limit& limit, const limit::ClientKey& at) {
        if (const auto record = table.find(at, limit.account.id))
            found.push_back(listed(table, limit, *record, now));
    };
    const std::size_t slash = key.find('/');
    Address address;
    if (limit::parse_address(key.substr(0, slash), address)) {
        for (const Limit& limit : policy.limits()) {
            const auto at = limit::ClientKey::of_address(address, limit.key.prefixes());
            if (slash == std::string_view::npos || KeyText(limit, at).view() == key) look(limit, at);
        }
    } else if (key == "global") {
        for (const Limit& limit : policy.limits()) look(limit, limit::ClientKey::global());
    } else if (key == kUnixText) {
        for (const Limit& limit : policy.limits()) look(limit, limit::ClientKey::of_unix_peers());
    } else if (key.contains('#')) {  // what is shown of a digest does not tell where it is: look at all
        const LimitsById limits = by_id(policy, {});
        table.each([&](const limit::ClientRecord& record) {
            const Limit* of = limits[record.limit];
            if (of && !record.key.is_address() && KeyText(*of, record.key).view() == key)
                found.push_back(listed(table, *of, record, now));
        });
    }
    return found;
}

std::vector<ListedClient> forget_clients(const Policy& policy, limit::ClientTable& table,
                                         std::string_view key, limit::Nanos now) {
    std::vector<ListedClient> clients = find_clients(policy, table, key, now);
    std::erase_if(clients, [&](const ListedClient& client) {
        table.bans().forget(client.record.key, client.limit->account.id, now);
        return !table.erase(client.record.key, client.limit->account.id);
    });
    return clients;
}

}  // namespace sluice::policy
