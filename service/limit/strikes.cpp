#include "service/limit/strikes.h"

#include <algorithm>
#include <bit>
#include <memory>
#include <mutex>
#include <span>

#include <sys/mman.h>

namespace sluice::limit {

namespace {

constexpr std::size_t kWays = 4;
constexpr std::uint64_t kSetsMax = 1 << 18;
constexpr int kUnitBits = 27;

}  // namespace

StrikeRule::StrikeRule(std::uint32_t after, Nanos within)
    : after_(after),
      group_((after + kMarks - 1) / kMarks),
      within_(within),
      unit_(std::max<Nanos>(1, within >> kUnitBits)),
      span_(static_cast<std::uint32_t>(within / unit_)),
      scale_(static_cast<std::uint16_t>(
          (static_cast<std::uint64_t>(unit_) * 0x9e3779b97f4a7c15 ^ group_ * 0xc2b2ae3d27d4eb4f) >> 48)) {}

/// The refusals of one key. All zero: free.
struct alignas(64) Strikes::Record {
    std::uint64_t hash;
    Nanos until;          // from then on, nothing of it matters
    std::uint32_t since;  // refusals from the newest mark on
    std::uint8_t used;    // marks
    std::uint8_t newest;
    std::uint16_t scale;  // of the rule that made the marks
    std::array<std::uint32_t, StrikeRule::kMarks> marks;

    std::uint32_t& mark(std::uint32_t before_newest) {
        return marks[(newest + StrikeRule::kMarks - before_newest) % StrikeRule::kMarks];
    }
};

struct Strikes::Table {
    explicit Table(std::size_t n) : sets(n), bytes(n * kWays * sizeof(Record)) {
        memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1, 0);
        if (memory != MAP_FAILED) ::madvise(memory, bytes, MADV_NOHUGEPAGE);  // touched here and there
    }
    ~Table() {
        if (memory != MAP_FAILED) ::munmap(memory, bytes);
    }
    Table(const Table&) = delete;

    std::span<Record, kWays> set(std::size_t at) const {
        return std::span<Record, kWays>(static_cast<Record*>(memory) + at * kWays, kWays);
    }

    const std::size_t sets;
    const std::size_t bytes;
    void* memory;
};

Strikes::~Strikes() {
    delete table_.load();
}

/// Made by the first who asks; of two, one throws its own away. nullptr: no memory.
Strikes::Table* Strikes::table() {
    Table* there = table_.load(std::memory_order_acquire);
    if (there) return there;
    const std::uint64_t wanted = keys_.load(std::memory_order_relaxed) / kWays;
    auto fresh = std::make_unique<Table>(std::bit_floor(std::clamp<std::uint64_t>(wanted, 1, kSetsMax)));
    if (fresh->memory == MAP_FAILED) return nullptr;
    if (!table_.compare_exchange_strong(there, fresh.get(), std::memory_order_acq_rel)) return there;
    return fresh.release();
}

std::uint64_t Strikes::bytes() const {
    const Table* there = table_.load(std::memory_order_acquire);
    return there ? there->bytes : 0;
}

bool Strikes::add(std::uint64_t hash, const StrikeRule& rule, Nanos now) {
    Table* const records = table();
    if (!records) return false;
    hash += hash == 0;
    const std::size_t at = hash & (records->sets - 1);
    const std::scoped_lock hold(locks_[at % kLocks]);
    const auto set = records->set(at);
    auto found = std::ranges::find(set, hash, &Record::hash);
    if (found == set.end()) {
        found = std::ranges::min_element(set, {}, [now](const Record& record) {
            return record.until <= now ? std::pair(0, Nanos{0}) : std::pair(record.used + 0, record.until);
        });
        *found = Record{.hash = hash};
    }

    Record& record = *found;
    // Marks of another rule, from before a reload, are in other units: they say nothing.
    if (record.until <= now || record.scale != rule.scale_) record.used = 0;
    record.scale = rule.scale_;
    record.until = std::max(record.until, now + rule.within_);
    const auto time = static_cast<std::uint32_t>(now / rule.unit_);
    // Threads read the clock before they take the lock: a little in the future is now.
    const auto fresh = [&](std::uint32_t mark) {
        const std::uint32_t age = time - mark;
        return age < rule.span_ || age > 0x80000000;
    };
    while (record.used > 0 && !fresh(record.mark(record.used - 1U))) --record.used;
    if (record.used > 0 && record.since < rule.group_) {
        ++record.since;
    } else {
        record.newest = static_cast<std::uint8_t>((record.newest + 1) % StrikeRule::kMarks);
        record.used = static_cast<std::uint8_t>(std::min(record.used + 1U, StrikeRule::kMarks));
        record.mark(0) = time;
        record.since = 1;
    }
    if (record.since + (record.used - 1U) * rule.group_ < rule.after_) return false;
    record = Record{};
    return true;
}

void Strikes::forget(std::uint64_t hash) {
    Table* const records = table_.load(std::memory_order_acquire);
    if (!records) return;
    hash += hash == 0;
    const std::size_t at = hash & (records->sets - 1);
    const std::scoped_lock hold(locks_[at % kLocks]);
    for (Record& record : records->set(at))
        if (record.hash == hash) record = Record{};
}

}  // namespace sluice::limit
