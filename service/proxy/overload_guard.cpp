#include "service/proxy/overload_guard.h"

#include <chrono>

#include <malloc.h>

#include "runtime/blocking.h"

namespace sluice::proxy {

using namespace std::chrono_literals;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void OverloadGuard::run() {
    do {
        const bool before = overloaded_.load(kRelaxed);
        observe(runtime::blocking([this] { return source_.read(); }));
        // What the heap holds free may be what is missing.
        if (!before && overloaded_.load(kRelaxed)) runtime::blocking([] { return ::malloc_trim(0); });
    } while (!stop_.try_acquire_until(runtime::now() + pause()));
}

void OverloadGuard::observe(const std::optional<MemoryUse>& use) {
    used_.store(use ? use->used : 0, kRelaxed);
    limit_.store(use ? use->limit : 0, kRelaxed);
    const bool before = overloaded_.load(kRelaxed);
    const bool now = use && use->share() >= (before ? kResume : kShed);
    if (now == before) return;
    overloaded_.store(now, kRelaxed);
    if (now) {
        times_.fetch_add(1, kRelaxed);
        log_.warn("low on memory: new connections and requests are told 503",
                  {{"used_bytes", use->used}, {"limit_bytes", use->limit}});
    } else {
        log_.info("memory is there again", {{"used_bytes", use ? use->used : 0}});
    }
}

runtime::Duration OverloadGuard::pause() const {
    const MemoryUse use = figures().use;
    return use.limit > 0 && use.share() >= kNear ? 100ms : 500ms;
}

OverloadGuard::Figures OverloadGuard::figures() const {
    return {.overloaded = overloaded_.load(kRelaxed),
            .times = times_.load(kRelaxed),
            .use = {.used = used_.load(kRelaxed), .limit = limit_.load(kRelaxed)}};
}

}  // namespace sluice::proxy
