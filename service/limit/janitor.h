#pragma once

// The janitor: a task like any other that wakes every `sweep_every` and removes the clients that were not
// seen for `idle_after` and owe nothing. It works in slices of 2 to 20 µs, bounded by what they do and not by
// the clock, and yields between them. A request waits for it only where it wants the same one of some
// thousand shards, which a slice locks for 32 places at a time. The memory that became idle goes back between
// the sweeps, 64 KiB in a millisecond.

#include <atomic>
#include <cstdint>

#include "runtime/semaphore.h"
#include "runtime/time.h"
#include "service/limit/client_table.h"

namespace sluice::limit {

class Janitor {
  public:
    struct Settings {
        runtime::Duration idle_after;
        runtime::Duration sweep_every;
    };

    Janitor(ClientTable& table, Settings settings) : table_(table) { configure(settings); }

    /// The body of its task: sweeps until stop().
    void run();
    /// Any thread. run() returns soon.
    void stop();
    /// A reload. The next sweep is `sweep_every` behind the last one: at once where that is past.
    void configure(Settings settings);

    struct Stats {
        std::uint64_t sweeps = 0;
        std::uint64_t removed = 0;
        runtime::Duration last_sweep{};     // from its beginning to its end, pauses included
        runtime::Duration longest_pause{};  // the longest slice ever
        runtime::Time next{};
    };
    Stats stats() const;

  private:
    bool wait_for_the_next(runtime::Time since);
    bool woken_before(runtime::Time next);
    void sweep();

    ClientTable& table_;
    runtime::Semaphore wake_{0};  // released behind a change of what follows

    // Written by stop(), by configure() and by the task, read by anyone.
    std::atomic<bool> stopping_{false};
    std::atomic<std::int64_t> idle_after_{0}, sweep_every_{0};
    std::atomic<std::uint64_t> sweeps_{0}, removed_{0};
    std::atomic<std::int64_t> last_sweep_{0}, longest_pause_{0}, next_{0};
};

}  // namespace sluice::limit
