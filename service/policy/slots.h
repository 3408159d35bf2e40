#pragma once

// What a request holds of the limits that count requests in flight, from the decision to the end of its
// exchange. Lives in the frame of the exchange: whatever becomes of the request, the slots are given back.

#include "service/limit/waiting_room.h"
#include "service/policy/decide.h"

namespace sluice::policy {

class Slots {
  public:
    /// `verdict` may still be decided again: what counts is what it holds at the end.
    Slots(limit::ClientTable& table, limit::WaitingRoom& room, const Verdict& verdict)
        : table_(table), room_(room), verdict_(verdict) {}
    ~Slots() {
        for (const Applied& each : verdict_.applied()) {
            if (each.slot.cost == 0) continue;
            table_.release(each.key, each.limit->account.id, each.slot);
            room_.freed(each.key, each.limit->account.id);
        }
    }
    Slots(const Slots&) = delete;

  private:
    limit::ClientTable& table_;
    limit::WaitingRoom& room_;
    const Verdict& verdict_;
};

}  // namespace sluice::policy
