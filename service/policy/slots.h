#pragma once

// What a request holds of the limits that count requests in flight, from the decision to the end of its
// exchange. Lives in the frame of the exchange: whatever becomes of the request, the slots are given back;
// when it becomes a tunnel, at that one's end.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "service/limit/waiting_room.h"
#include "service/policy/decide.h"

namespace sluice::policy {

/// Slots whose exchange is over, while what it began goes on. Refers to no configuration. Owns them: moves,
/// and gives them back when destroyed.
class KeptSlots {
  public:
    KeptSlots(limit::ClientTable& table, limit::WaitingRoom& room) : table_(&table), room_(&room) {}
    KeptSlots(KeptSlots&& other) noexcept = default;
    ~KeptSlots() {
        for (const Kept& each : kept_) {
            table_->release(each.key, each.account.id, each.slot);
            room_->freed(each.key, each.account.id);
        }
    }

    void reserve(std::size_t more) { kept_.reserve(kept_.size() + more); }
    void add(const Applied& applied) { kept_.push_back({applied.key, applied.limit->account, applied.slot}); }

  private:
    struct Kept {
        limit::ClientKey key;
        Ledger::Account account;  // so that no other limit gets its number meanwhile
        limit::Slot slot;
    };

    limit::ClientTable* table_;
    limit::WaitingRoom* room_;
    std::vector<Kept> kept_;
};

class Slots {
  public:
    /// `verdict` may still be decided again: what counts is what it holds at the end.
    Slots(limit::ClientTable& table, limit::WaitingRoom& room, const Verdict& verdict)
        : table_(table), room_(room), verdict_(&verdict) {}
    ~Slots() { give_back(); }
    Slots(const Slots&) = delete;

    bool any() const {
        return verdict_ != nullptr && std::ranges::any_of(verdict_->applied(), [](const Applied& each) {
                   return each.slot.cost != 0;
               });
    }
    /// Before the end of the answer is sent: whoever has all of it may have asked again before we know.
    void give_back() {
        if (verdict_ == nullptr) return;
        for (const Applied& each : std::exchange(verdict_, nullptr)->applied()) {
            if (each.slot.cost == 0) continue;
            table_.release(each.key, each.limit->account.id, each.slot);
            room_.freed(each.key, each.limit->account.id);
        }
    }

    /// Hands what is held over to whoever outlives the exchange. Throws std::bad_alloc; then it is still held
    /// here.
    KeptSlots keep() {
        KeptSlots kept(table_, room_);
        kept.reserve(verdict_->applied().size());
        for (const Applied& each : std::exchange(verdict_, nullptr)->applied())
            if (each.slot.cost != 0) kept.add(each);
        return kept;
    }

  private:
    limit::ClientTable& table_;
    limit::WaitingRoom& room_;
    const Verdict* verdict_;  // null: given back, or handed over
};

}  // namespace sluice::policy
