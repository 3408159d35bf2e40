#include "service/upstream/line.h"

#include <algorithm>
#include <chrono>

#include "runtime/this_task.h"

namespace sluice::upstream {

bool Line::try_take() {
    std::int64_t seen = places_.load(std::memory_order_relaxed);
    while (seen > 0) {
        if (places_.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire,
                                          std::memory_order_relaxed))
            return true;
    }
    return false;
}

Line::Outcome Line::wait(runtime::Time deadline, Pointless pointless) {
    Place place;
    if (places_.fetch_sub(1, std::memory_order_acq_rel) > 0 || !line_up(place)) return Outcome::taken;
    for (;;) {
        const runtime::Time now = runtime::now();
        if (place.called.try_acquire_until(std::min<runtime::Time>(deadline, now + kLookUp)))
            return Outcome::taken;
        const bool in_vain = runtime::this_task::cancelled() || pointless();
        if (!in_vain && runtime::now() < deadline) continue;
        if (leave(place)) return in_vain ? Outcome::pointless : Outcome::late;
        place.called.acquire();  // the turn has just come
        if (!in_vain) return Outcome::taken;
        give_back();
        return Outcome::pointless;
    }
}

void Line::resize(std::int64_t places) {
    const std::int64_t more = places - max_.exchange(places, std::memory_order_relaxed);
    for (std::int64_t i = 0; i < more; ++i) give_back();
    if (more >= 0) return;
    const std::scoped_lock hold(lock_);
    const std::int64_t seen = places_.fetch_add(more, std::memory_order_acq_rel);
    const std::int64_t taken = -more - std::max<std::int64_t>(seen, 0);
    if (taken > 0) surplus_.fetch_add(taken, std::memory_order_relaxed);
}

void Line::give_back() {
    if (places_.fetch_add(1, std::memory_order_acq_rel) >= 0) return;
    Place* called = nullptr;
    {
        const std::scoped_lock hold(lock_);
        if (surplus_.load(std::memory_order_relaxed) > 0) {
            surplus_.fetch_sub(1, std::memory_order_relaxed);
            return;
        }
        called = first_;
        if (called == nullptr) {
            ++owed_;
            return;
        }
        unlink(*called);
    }
    called->called.release();
}

bool Line::line_up(Place& place) {
    const std::scoped_lock hold(lock_);
    if (owed_ > 0) {
        --owed_;
        return false;
    }
    place.previous = last_;
    (last_ == nullptr ? first_ : last_->next) = &place;
    last_ = &place;
    place.in_line = true;
    return true;
}

bool Line::leave(Place& place) {
    const std::scoped_lock hold(lock_);
    if (!place.in_line) return false;
    std::int64_t seen = places_.load(std::memory_order_relaxed);
    do {
        if (seen >= 0) return false;
    } while (
        !places_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed));
    unlink(place);
    return true;
}

void Line::unlink(Place& place) {
    place.in_line = false;
    (place.previous == nullptr ? first_ : place.previous->next) = place.next;
    (place.next == nullptr ? last_ : place.next->previous) = place.previous;
}

}  // namespace sluice::upstream
