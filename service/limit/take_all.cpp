#include <algorithm>
#include <array>
#include <new>
#include <span>

#include "runtime/check.h"
#include "service/limit/client_shard.h"
#include "service/limit/client_table.h"
#include "service/limit/shared_buckets.h"
#include "service/limit/short_list.h"

namespace sluice::limit {

namespace {

/// Several locks at once. All who hold more than one take them in the order of their addresses.
class Locks {
  public:
    Locks() = default;
    Locks(const Locks&) = delete;
    ~Locks() {
        for (runtime::SpinLock* lock : std::span(locks_).first(held_)) lock->unlock();
    }

    void want(runtime::SpinLock& lock) { locks_[size_++] = &lock; }
    void lock_all() {
        std::ranges::sort(wanted());
        size_ = static_cast<std::size_t>(std::ranges::unique(wanted()).begin() - wanted().begin());
        for (runtime::SpinLock* lock : wanted()) lock->lock();
        held_ = size_;
    }

  private:
    std::span<runtime::SpinLock*> wanted() { return {locks_.data(), size_}; }

    std::size_t size_ = 0;
    std::size_t held_ = 0;
    std::array<runtime::SpinLock*, ClientTable::kChargesMax> locks_;
};

/// Where one charge is made, and what its state was and shall be.
struct Account {
    std::uint64_t hash;
    ClientShard* shard;
    ClientEntry* entry = nullptr;    // else:
    SharedBucket* common = nullptr;  // the table had no room
    std::uint64_t elsewhere = 0;     // of a rule that counts requests in flight: ClientTable::elsewhere()
    State before, after;
};

// Owes for ever: no charge made later on evicts what one made earlier stands on. Must not be left behind.
constexpr State kPinned{.tat = kNever, .fraction = 0};

}  // namespace

// 1. Take the locks of all shards that the clients are in. 2. Find their entries. 3. Make those that are
// missing, none in the place of another of them; for who finds no room, take the locks of the shared
// buckets. 4. Ask one after the other, on copies. 5. Write down all copies, or none. The shared buckets'
// locks come behind the shards', here as in take(), so that two requests never wait for each other.
void ClientTable::take_all(std::span<Charge> charges, Nanos now) {
    SLUICE_CHECK(charges.size() <= kChargesMax, "a request is charged under so many limits at most");
    ShortList<Account, kChargesMax> accounts;
    Locks shards, commons;
    for (const Charge& charge : charges) {
        const std::uint64_t where = hash(charge.key, charge.limit);
        ClientShard& shard = shards_[shard_of(where)];
        accounts.add({.hash = where, .shard = &shard});
        shards.want(shard.lock);
    }
    shards.lock_all();

    const auto pin = [&](Account& account, const Charge& charge, ClientEntry& entry) {
        account.entry = &entry;
        account.before = entry.state();
        if (charge.rule->in_flight()) account.elsewhere = elsewhere(account.before, charge.key, charge.limit);
        entry.set(kPinned);
    };
    bool missing = false;
    for (std::size_t i = 0; i < charges.size(); ++i) {
        ClientEntry* known = accounts[i].shard->find(accounts[i].hash, charges[i].key, charges[i].limit);
        if (known)
            pin(accounts[i], charges[i], *known);
        else
            missing = true;
    }
    try {
        for (std::size_t i = 0; missing && i < charges.size(); ++i) {
            const Charge& charge = charges[i];
            Account& account = accounts[i];
            if (account.entry) continue;
            if (ClientEntry* entry =
                    claim(*account.shard, account.hash, charge.key, charge.limit, *charge.rule, now)) {
                pin(account, charge, *entry);
            } else {
                shared_.fetch_add(1, std::memory_order_relaxed);
                account.common = &shared_bucket(charge.key, charge.limit);
                commons.want(account.common->lock);
            }
        }
    } catch (const std::bad_alloc&) {  // of a shared bucket
        for (std::size_t i = 0; i < charges.size(); ++i)
            if (accounts[i].entry)
                accounts[i]
                    .shard->find(accounts[i].hash, charges[i].key, charges[i].limit)
                    ->set(accounts[i].before);
        throw;
    }
    commons.lock_all();

    bool refused = false;
    for (std::size_t i = 0; i < charges.size(); ++i) {
        Charge& charge = charges[i];
        Account& account = accounts[i];
        if (missing && !account.common)  // making one entry may have moved another
            account.entry = account.shard->find(account.hash, charge.key, charge.limit);
        if (account.common) {
            begin_use(*account.common);
            account.before = account.common->state;
        }
        const Epoch epoch = account.common ? account.common->epoch : account.shard->epoch;
        account.after = account.before;
        charge.asked = !refused;
        const InFlight* slots = charge.rule->in_flight();
        if (refused) {
            if (!slots)
                charge.answer = ask(account.after, epoch, charge.limit, *charge.rule, charge.cost, now);
            account.after = account.before;
            continue;
        }
        if (slots && account.entry) [[unlikely]]
            charge.answer =
                take_slot(*slots, *account.shard, account.after, account.elsewhere, charge.cost, charge.slot);
        else
            charge.answer = ask(account.after, epoch, charge.limit, *charge.rule, charge.cost, now);
        if (slots && account.common && charge.answer.admitted) charge.slot = lent_of_shared(charge.cost);
        refused = !charge.answer.admitted && charge.may_refuse;
    }

    for (std::size_t i = 0; i < charges.size(); ++i) {
        Charge& charge = charges[i];
        const Account& account = accounts[i];
        if (refused) charge.slot = {};
        const bool spent = charge.asked && charge.answer.admitted;
        const State& state = refused && spent ? account.before : account.after;
        if (account.common) account.common->state = state;
        if (!account.entry) continue;
        account.entry->set(state);
        if (charge.asked && !(refused && spent) && !(charge.quiet && !charge.answer.admitted))
            count(*account.entry, charge.answer.admitted, now);
    }
}

}  // namespace sluice::limit
