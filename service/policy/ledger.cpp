#include "service/policy/ledger.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <utility>

#include "service/http/text.h"

namespace sluice::policy {

namespace {

/// What must stay the same for a limit's counts to go on. Under another prefix, a key with an address in it
/// would be other clients'. A key that only falls back on one, where a name is missing, is itself under any
/// prefix: to begin anew would give quota back to all of them, for the sake of the few that fell back, of
/// whom one in each network goes on with what another of it had counted.
std::string identity(const config::Limit& limit, const config::Client& client) {
    std::string text = limit.name + '\n' + std::to_string(static_cast<int>(limit.algorithm));
    for (const auto& part : limit.key) {
        text += '\n' + std::to_string(static_cast<int>(part.kind));
        const bool any_case = part.kind == config::KeyKind::header;
        for (const char c : part.name) text += any_case ? http::lower(c) : c;
    }
    if (std::ranges::find(limit.key, config::KeyKind::ip, &config::KeyPart::kind) != limit.key.end()) {
        text += "\n/" + std::to_string(limit.ipv4_prefix.value_or(client.ipv4_prefix));
        text += '/' + std::to_string(limit.ipv6_prefix.value_or(client.ipv6_prefix));
    }
    return text;
}

}  // namespace

// Those that are known first, and held from then on: no new limit takes the number of one that returns.
std::vector<Ledger::Account> Ledger::accounts(std::span<const config::Limit> limits,
                                              const config::Client& client) {
    ++loads_;
    std::vector<Account> accounts(limits.size());
    for (std::size_t i = 0; i < limits.size(); ++i) {
        const auto known = kept_.find(identity(limits[i], client));
        if (known == kept_.end()) continue;
        known->second.load = loads_;
        accounts[i] = known->second.account;
    }
    for (std::size_t i = 0; i < limits.size(); ++i) {
        if (accounts[i].counters) continue;
        accounts[i] =
            enter(identity(limits[i], client), std::make_shared<telemetry::LimitCounters>(workers_)).account;
    }
    return accounts;
}

// Takes a free number, or else that of another account, together with its node in the map: so nothing can
// fail between giving a number up and taking it, after which it would be given away twice.
Ledger::Kept& Ledger::enter(std::string identity, std::shared_ptr<telemetry::LimitCounters> counters) {
    if (const std::size_t number = kept_.size(); number < limit::kLimitsMax) {
        const Account account{static_cast<limit::LimitId>(number), std::move(counters)};
        return kept_.emplace(std::move(identity), Kept{account, loads_}).first->second;
    }
    const auto oldest = oldest_unused();
    const limit::LimitId number = oldest->second.account.id;
    table.forget(number);
    auto place = kept_.extract(oldest);
    place.key() = std::move(identity);
    place.mapped() = {{number, std::move(counters)}, loads_};
    return kept_.insert(std::move(place)).position->second;
}

std::map<std::string, Ledger::Kept>::iterator Ledger::oldest_unused() {
    auto oldest = kept_.end();
    for (auto at = kept_.begin(); at != kept_.end(); ++at) {
        if (at->second.account.counters.use_count() > 1) continue;
        if (oldest == kept_.end() || at->second.load < oldest->second.load) oldest = at;
    }
    if (oldest == kept_.end())
        throw std::length_error(
            "all 250 numbers of limits are in use, by earlier configurations whose requests or idle "
            "connections have not ended yet; a reload is possible again when some have");
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the count that others took down to one
    return oldest;
}

}  // namespace sluice::policy
