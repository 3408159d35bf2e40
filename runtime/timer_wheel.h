#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "runtime/check.h"
#include "runtime/time.h"

namespace sluice::runtime {

struct Woken;

// Timer: a node of a TimerWheel, embedded in what it wakes. fire() is called when the time has come, with the
// wheel's lock held and the timer out of the wheel; it adds what is to run to `woken`, may arm timers that
// are still to come, and takes no lock that is ever held while a timer is armed.
struct Timer {
    using Fire = void (*)(Timer& timer, Time now, Woken& woken);
    static constexpr std::uint16_t kUnarmed = 0xffff;

    explicit Timer(Fire f = nullptr) : fire(f) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    bool armed() const { return place != kUnarmed; }

    Fire fire;
    Time when = kNever;

    // The wheel's.
    Timer* next = nullptr;
    Timer** previous = nullptr;
    std::uint16_t place = kUnarmed;
};

// TimerWheel: timers by the time at which they are due, as plain data: no clock, no thread, no allocation.
// arm() and disarm() take constant time; advance() takes time for what is due and, 5 times at most in a
// timer's life, for moving it nearer. Guarded by its owner's lock.
//
// Six levels of 64 places; a place of level n spans 64^n ticks of 65.5 µs, so level 5 reaches 52 days ahead
// (what is later waits at its end and is placed again). A timer sits at the level of the highest group of 6
// bits in which its tick differs from the present one: so everything at level n is due before anything at
// level n + 1. It never fires before its time, however coarse its place.
class TimerWheel {
  public:
    explicit TimerWheel(Time start = Time{}) : now_tick_(tick(start)) {}
    TimerWheel(const TimerWheel&) = delete;
    TimerWheel& operator=(const TimerWheel&) = delete;

    // arm() places a timer that is not armed. A time that has passed fires at the next advance().
    void arm(Timer& timer, Time when) {
        SLUICE_CHECK(!timer.armed(), "a timer is armed once at a time");
        timer.when = when;
        place(timer);
        ++armed_;
    }

    // disarm() takes a timer out; nothing happens to one that is not armed.
    void disarm(Timer& timer) {
        if (!timer.armed()) return;
        unlink(timer);
        --armed_;
    }

    // advance() moves to `now` (an earlier one counts as the present) and calls sink(timer) for each timer
    // due, taken out before. Timers of one tick fire in no particular order.
    template <class Sink>
    void advance(Time now, Sink&& sink) {
        const std::uint64_t target = std::max(tick(now), now_tick_);
        for (unsigned level; (level = lowest_level()) < kLevels;) {
            const unsigned index = static_cast<unsigned>(std::countr_zero(occupied_[level]));
            const std::uint64_t start = start_of(level, index);
            if (start > target) break;
            now_tick_ = start;
            if (level > 0) {
                bring_nearer(level, index);
            } else if (!fire_place(index, now, sink)) {
                if (start == target) break;  // they are of this tick, and later than `now`
                now_tick_ = start + 1;       // or were beyond the reach of the wheel until now
                bring_nearer(0, index);
            }
        }
        now_tick_ = target;
    }

    // next_event() returns when advance() has something to do next: exact when that is within the present 64
    // ticks, else a time not after it, at which timers are only moved nearer. kNever when no timer is armed.
    Time next_event() const {
        const unsigned level = lowest_level();
        if (level == kLevels) return kNever;
        const unsigned index = static_cast<unsigned>(std::countr_zero(occupied_[level]));
        if (level > 0) return Time(Duration(static_cast<std::int64_t>(start_of(level, index) << kTickShift)));
        Time first = kNever;
        for (const Timer* t = places_[index]; t != nullptr; t = t->next) first = std::min(first, t->when);
        return first;
    }

    std::size_t armed() const { return armed_; }

  private:
    static constexpr unsigned kTickShift = 16;
    static constexpr unsigned kLevels = 6;
    static constexpr unsigned kGroupBits = 6;
    static constexpr unsigned kPlaces = 1U << kGroupBits;

    static std::uint64_t tick(Time time) {
        const auto ns = time.time_since_epoch().count();
        return ns <= 0 ? 0 : static_cast<std::uint64_t>(ns) >> kTickShift;
    }

    unsigned lowest_level() const {
        unsigned level = 0;
        while (level < kLevels && occupied_[level] == 0) ++level;
        return level;
    }

    // The first tick of a place: the present one with the groups up to `level` replaced.
    std::uint64_t start_of(unsigned level, unsigned index) const {
        const unsigned shift = level * kGroupBits;
        return (now_tick_ >> (shift + kGroupBits) << (shift + kGroupBits)) | (std::uint64_t{index} << shift);
    }

    void place(Timer& timer) {
        constexpr std::uint64_t kReach = (std::uint64_t{1} << (kLevels * kGroupBits)) - 1;
        const std::uint64_t due = std::min(std::max(tick(timer.when), now_tick_), now_tick_ | kReach);
        const std::uint64_t differs = due ^ now_tick_;
        const unsigned level =
            differs == 0 ? 0 : (63U - static_cast<unsigned>(std::countl_zero(differs))) / kGroupBits;
        const unsigned index = static_cast<unsigned>(due >> (level * kGroupBits)) & (kPlaces - 1);
        Timer*& head = places_[level * kPlaces + index];
        timer.place = static_cast<std::uint16_t>(level * kPlaces + index);
        timer.next = head;
        timer.previous = &head;
        if (head != nullptr) head->previous = &timer.next;
        head = &timer;
        occupied_[level] |= std::uint64_t{1} << index;
    }

    void unlink(Timer& timer) {
        *timer.previous = timer.next;
        if (timer.next != nullptr) timer.next->previous = timer.previous;
        const unsigned level = timer.place / kPlaces;
        const unsigned index = timer.place % kPlaces;
        if (places_[timer.place] == nullptr) occupied_[level] &= ~(std::uint64_t{1} << index);
        timer.place = Timer::kUnarmed;
    }

    void bring_nearer(unsigned level, unsigned index) {
        Timer* timer = places_[level * kPlaces + index];
        places_[level * kPlaces + index] = nullptr;
        occupied_[level] &= ~(std::uint64_t{1} << index);
        while (timer != nullptr) {
            Timer* const next = timer->next;
            place(*timer);
            timer = next;
        }
    }

    // False when timers of the present tick are still to come: their time is within it, but after `now`.
    template <class Sink>
    bool fire_place(unsigned index, Time now, Sink& sink) {
        bool all = true;
        for (Timer* timer = places_[index]; timer != nullptr;) {
            Timer* const next = timer->next;
            if (timer->when <= now) {
                unlink(*timer);
                --armed_;
                sink(*timer);
            } else {
                all = false;
            }
            timer = next;
        }
        return all;
    }

    std::uint64_t now_tick_;
    std::size_t armed_ = 0;
    std::array<std::uint64_t, kLevels> occupied_{};
    std::array<Timer*, kLevels * kPlaces> places_{};
};

}  // namespace sluice::runtime
