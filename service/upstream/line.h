#pragma once

// The connections that an upstream may have at a time, and the line of those who wait for one. First come,
// first served: who comes later never passes who waits. Who waits keeps the place while looking up now and
// then whether there is still somebody to wait for.
//
// Free places are one atomic number, and taking or giving back one while nobody waits is one operation on it.
//
//   places_ > 0: so many are free, and nobody waits.  places_ <= 0: so many wait, none is free. After
//   resize() to fewer than are taken, surplus_ more are missing: nobody waits for those.
//
//   1. wait() takes one off. If there was none, it lines up, under the lock.
//   2. give_back() adds one. If somebody waits by that count, it calls the first of the line, under the lock.
//   3. The first may have taken its number but not yet joined the line (between the halves of step 1): the
//      call is then recorded as owed, and taken when it joins.
//   4. Giving up reverts step 1, under the lock. If it was called already, or the count says that nobody
//      waits (so a call for everyone in line is on its way), the place must be accepted instead.
//   5. resize() to more gives as many back. To fewer it takes them off, and notes under the lock how many of
//      them were not free: with each of these the next give_back() pays, instead of calling somebody.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

#include "runtime/semaphore.h"
#include "runtime/time.h"
#include "service/upstream/patience.h"

namespace sluice::upstream {

class Line {
  public:
    explicit Line(std::int64_t places) : places_(places), max_(places) {}
    Line(const Line&) = delete;

    enum class Outcome : std::uint8_t { taken, late, pointless };

    /// Takes a place if one is free and nobody waits for it.
    bool try_take();
    /// Takes a place, parking until there is one: late after `deadline`, pointless half a second after it has
    /// become so, or when the task is cancelled.
    Outcome wait(runtime::Time deadline, Pointless pointless);
    void give_back();

    /// As many places from now on. Of more than that, those that are taken stay so until they are given back.
    /// One task at a time.
    void resize(std::int64_t places);

    /// For /stats: places that are taken, and how many wait for one.
    std::int64_t taken() const {
        return max_.load(std::memory_order_relaxed) + surplus_.load(std::memory_order_relaxed) -
               std::max<std::int64_t>(places_.load(std::memory_order_relaxed), 0);
    }
    std::int64_t waiting() const {
        return std::max<std::int64_t>(
            -places_.load(std::memory_order_relaxed) - surplus_.load(std::memory_order_relaxed), 0);
    }

  private:
    struct Place {
        runtime::Semaphore called{0};
        Place* next = nullptr;
        Place* previous = nullptr;
        bool in_line = false;  // guarded by lock_, as the links
    };
    bool line_up(Place& place);
    bool leave(Place& place);
    void unlink(Place& place);

    std::atomic<std::int64_t> places_;
    std::atomic<std::int64_t> max_;
    std::atomic<std::int64_t> surplus_{0};  // taken beyond max_; written under lock_

    std::mutex lock_;  // never held across a park
    Place* first_ = nullptr;
    Place* last_ = nullptr;
    std::int64_t owed_ = 0;
};

}  // namespace sluice::upstream
