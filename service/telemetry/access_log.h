#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "runtime/semaphore.h"
#include "service/telemetry/byte_ring.h"
#include "service/telemetry/log_format.h"
#include "service/telemetry/outcome.h"

namespace sluice::telemetry {

/// Which requests get a line of the access log.
enum class AccessLogged : std::uint8_t { all, limited /* limited, denied, banned, shadow-limited */, off };

/// A line for each request, on a descriptor (standard output). The request never waits for it: the line is
/// formatted into a ring of the worker, without allocation, and written by one background task through a
/// thread that may block. When whoever reads the descriptor is slower than the requests, lines are dropped
/// and counted, and the log says how many as soon as it can.
///
/// write() may be called by any task of the scheduler it was made for, and by any thread; it does not park.
class AccessLog {
  public:
    struct Options {
        AccessLogged which = AccessLogged::all;
        LogFormat format = LogFormat::json;
        int descriptor = 1;
        std::size_t buffer_bytes = 256 * 1024;                    // of each worker; a power of two
        runtime::Duration delay = std::chrono::milliseconds(50);  // how long a line may wait for company
    };

    AccessLog(unsigned workers, Options options);
    ~AccessLog();
    AccessLog(const AccessLog&) = delete;

    /// Whether `outcome` gets a line.
    bool wants(const RequestOutcome& outcome) const noexcept;

    /// Adds the line, or drops and counts it. Costs some 300 ns.
    void write(const RequestOutcome& outcome) noexcept;

    /// A reload: takes effect with the next line.
    void configure(AccessLogged which, LogFormat format) noexcept;

    /// The body of the background task: writes what the requests leave, and returns after close(). Idle, it
    /// costs nothing. `deadline_after_close`: how long it goes on writing what is left to a reader that has
    /// stopped reading.
    void run(runtime::Duration deadline_after_close = std::chrono::seconds(1));

    /// Ends run() once the lines that are already here are written. Any thread.
    void close() noexcept;

    std::uint64_t lines() const noexcept;
    std::uint64_t dropped() const noexcept;

  private:
    struct Lane;  // one for each worker, one shared by all other threads

    void wake_writer() noexcept;
    bool drain(runtime::Time give_up);

    // Fixed.
    const unsigned workers_;
    const int descriptor_;
    const runtime::Duration delay_;
    const std::unique_ptr<Lane[]> lanes_;

    std::atomic<AccessLogged> which_;
    std::atomic<LogFormat> format_;

    // See access_log.cpp for the protocol between write() and run().
    std::atomic<bool> writer_woken_{false};
    std::atomic<bool> writer_urged_{false};
    std::atomic<bool> closing_{false};
    runtime::Semaphore wake_{0};
    runtime::Semaphore urge_{0};

    // Of the task in run() only.
    std::uint64_t dropped_told_ = 0;
};

}  // namespace sluice::telemetry
