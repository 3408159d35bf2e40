#include "service/limit/janitor.h"

#include <algorithm>

#include "runtime/this_task.h"

namespace sluice::limit {

namespace {

constexpr std::size_t kWorkPerSlice = 1024;
constexpr runtime::Duration kPause = std::chrono::milliseconds(1);
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void Janitor::stop() {
    stopping_.store(true, kRelaxed);
    wake_.release();
}

void Janitor::configure(Settings settings) {
    idle_after_.store(settings.idle_after.count(), kRelaxed);
    sweep_every_.store(settings.sweep_every.count(), kRelaxed);
    wake_.release();
}

void Janitor::run() {
    while (wait_for_the_next(runtime::now())) sweep();
}

bool Janitor::wait_for_the_next(runtime::Time since) {
    while (!stopping_.load(kRelaxed)) {
        const runtime::Time next = since + runtime::Duration(sweep_every_.load(kRelaxed));
        next_.store(next.time_since_epoch().count(), kRelaxed);
        if (!woken_before(next)) return true;
    }
    return false;
}

// Each piece of memory that goes back interrupts the other processors, in the middle of whatever decision: of
// a million decisions a second a thousand have that in them, where a sweep at full speed would spoil more.
bool Janitor::woken_before(runtime::Time next) {
    for (std::optional<std::size_t> shard = 0; shard;) {
        const runtime::Time pause = runtime::now() + kPause;
        if (pause >= next) break;
        shard = table_.give_back(*shard);
        if (shard && wake_.try_acquire_until(pause)) return true;
    }
    return wake_.try_acquire_until(next);
}

void Janitor::sweep() {
    const runtime::Time began = runtime::now();
    runtime::Time slice = began;
    ClientTable::Swept swept;
    for (std::optional<ClientTable::Cursor> at = ClientTable::Cursor{}; at;) {
        at = table_.sweep(*at, kWorkPerSlice, idle_after_.load(kRelaxed), slice.time_since_epoch().count(),
                          swept);
        const runtime::Time done = runtime::now();
        longest_pause_.store(std::max(longest_pause_.load(kRelaxed), (done - slice).count()), kRelaxed);
        runtime::this_task::yield();
        slice = runtime::now();
    }
    removed_.fetch_add(swept.removed, kRelaxed);
    last_sweep_.store((slice - began).count(), kRelaxed);
    sweeps_.fetch_add(1, kRelaxed);
}

Janitor::Stats Janitor::stats() const {
    return {sweeps_.load(kRelaxed), removed_.load(kRelaxed), runtime::Duration(last_sweep_.load(kRelaxed)),
            runtime::Duration(longest_pause_.load(kRelaxed)),
            runtime::Time(runtime::Duration(next_.load(kRelaxed)))};
}

}  // namespace sluice::limit
