#include "service/limit/janitor.h"

#include <algorithm>

#include "runtime/this_task.h"

namespace sluice::limit {

namespace {

constexpr std::size_t kWorkPerSlice = 1024;
constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void Janitor::configure(Settings settings) {
    idle_after_.store(settings.idle_after.count(), kRelaxed);
    sweep_every_.store(settings.sweep_every.count(), kRelaxed);
}

void Janitor::run() {
    for (;;) {
        const runtime::Time next = runtime::now() + runtime::Duration(sweep_every_.load(kRelaxed));
        next_.store(next.time_since_epoch().count(), kRelaxed);
        if (stop_.try_acquire_until(next)) return;
        sweep();
    }
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
