#include "service/telemetry/access_log.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "runtime/blocking.h"
#include "service/telemetry/byte_ring.h"
#include "service/telemetry/descriptor.h"

// How write() and run() meet:
//
//   write()                                          run()
//   1  push the line (seq_cst store of head)         1  park on wake_
//   2  awake_ already set? done (seq_cst load)       2  park on urge_, for `delay` at most: lines gather
//   3  set awake_; whoever set it releases wake_     3  clear urged_ and awake_ (seq_cst)
//   4  ring over half full: the same with urge_      4  empty all rings (seq_cst load of each head)
//
// No line is left behind: if step 2 of write() finds awake_ set, then in the single order of the seq_cst
// operations it came before step 3 of run(), and so the push came before step 4 reads the head.

namespace sluice::telemetry {

struct AccessLog::Lane {
    explicit Lane(std::size_t bytes) : ring(bytes) {}

    ByteRing ring;
    Cell lines, dropped;
    std::mutex shared;  // taken only by threads that are not alone on the lane
    std::array<char, kAccessLineMax>
        scratch;  // here rather than on the task's stack, which would have to grow for it
};

AccessLog::AccessLog(unsigned workers, Options options)
    : descriptor_(options.descriptor),
      delay_(options.delay),
      lanes_(workers, [&] { return std::make_unique<Lane>(options.buffer_bytes); }),
      which_(options.which),
      format_(options.format),
      give_up_at_(std::chrono::steady_clock::time_point::max().time_since_epoch().count()) {}

AccessLog::~AccessLog() = default;

void AccessLog::configure(AccessLogged which, LogFormat format) noexcept {
    which_.store(which, std::memory_order_relaxed);
    format_.store(format, std::memory_order_relaxed);
}

bool AccessLog::wants(const RequestOutcome& outcome) const noexcept {
    switch (which_.load(std::memory_order_relaxed)) {
        case AccessLogged::all: return true;
        case AccessLogged::off: return false;
        case AccessLogged::limited: break;
    }
    return outcome.shadow_limited || outcome.delayed ||
           (outcome.verdict != Verdict::none && outcome.verdict != Verdict::allowed);
}

void AccessLog::write(const RequestOutcome& outcome) noexcept {
    bool urgently = false;
    lanes_.update([&](std::unique_ptr<Lane>& own, Adder add) {
        Lane& lane = *own;
        std::unique_lock lock(lane.shared, std::defer_lock);
        if (!add.alone()) lock.lock();
        // The wall clock: lines are compared with those of other services.
        const auto now = std::chrono::system_clock::now();
        const auto format = format_.load(std::memory_order_relaxed);
        const std::size_t size = format_access_line(lane.scratch, outcome, now, format);
        add(lane.ring.push({lane.scratch.data(), size}) ? lane.lines : lane.dropped);
        urgently = lane.ring.over_half();
    });
    wake_writer(urgently);
}

void AccessLog::wake_writer(bool urgently) noexcept {
    if (!awake_.load(std::memory_order_seq_cst) && !awake_.exchange(true, std::memory_order_seq_cst))
        wake_.release();
    if (urgently && !urged_.load(std::memory_order_relaxed) && !urged_.exchange(true)) urge_.release();
}

void AccessLog::close(runtime::Duration patience) noexcept {
    const auto at = std::chrono::steady_clock::now() + patience;
    give_up_at_.store(at.time_since_epoch().count(), std::memory_order_seq_cst);
    urge_.release();
    wake_.release();
}

bool AccessLog::give_up() const noexcept {
    return std::chrono::steady_clock::now().time_since_epoch().count() >=
           give_up_at_.load(std::memory_order_relaxed);
}

void AccessLog::run() {
    constexpr auto kNever = std::chrono::steady_clock::time_point::max().time_since_epoch().count();
    for (bool closing = false; !closing;) {
        wake_.acquire();
        closing = give_up_at_.load(std::memory_order_seq_cst) != kNever;
        if (!closing) (void)urge_.try_acquire_until(runtime::now() + delay_);
        urged_.store(false, std::memory_order_seq_cst);
        awake_.store(false, std::memory_order_seq_cst);
        runtime::blocking([this] { write_out(); });
    }
}

void AccessLog::write_out() {
    lanes_.each([this](const std::unique_ptr<Lane>& lane) { empty(*lane); });
    tell_dropped();
}

// Takes what is there now, and not what is added meanwhile, or a busy worker's lane would keep the writer to
// itself. What cannot be written is taken too: the ring belongs to the requests to come.
void AccessLog::empty(Lane& lane) {
    for (std::size_t left = lane.ring.size(); left > 0;) {
        const auto piece = lane.ring.front().first(std::min(left, lane.ring.front().size()));
        const std::size_t n = write_patiently(descriptor_, piece, [this] { return give_up(); });
        const auto unwritten = piece.subspan(n);
        lost_.fetch_add(static_cast<std::uint64_t>(std::ranges::count(unwritten, '\n')),
                        std::memory_order_relaxed);
        lane.ring.pop(piece.size());
        left -= piece.size();
    }
}

void AccessLog::tell_dropped() {
    std::uint64_t dropped = lost_.load(std::memory_order_relaxed);
    lanes_.each([&](const std::unique_ptr<Lane>& lane) { dropped += lane->dropped.get(); });
    if (dropped == told_ || give_up()) return;
    std::array<char, kAccessLineMax> line;
    const auto format = format_.load(std::memory_order_relaxed);
    const std::size_t size =
        format_dropped_line(line, dropped - told_, std::chrono::system_clock::now(), format);
    const std::span<const char> bytes(line.data(), size);
    if (write_patiently(descriptor_, bytes, [this] { return give_up(); }) == size) told_ = dropped;
}

std::uint64_t AccessLog::lines() const noexcept {
    std::uint64_t sum = 0;
    lanes_.each([&](const std::unique_ptr<Lane>& lane) { sum += lane->lines.get(); });
    return sum;
}

std::uint64_t AccessLog::dropped() const noexcept {
    std::uint64_t sum = lost_.load(std::memory_order_relaxed);
    lanes_.each([&](const std::unique_ptr<Lane>& lane) { sum += lane->dropped.get(); });
    return sum;
}

}  // namespace sluice::telemetry
