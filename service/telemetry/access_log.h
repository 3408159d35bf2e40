#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "runtime/semaphore.h"
#include "service/telemetry/cell.h"
#include "service/telemetry/log_format.h"
#include "service/telemetry/outcome.h"

namespace sluice::telemetry {

/// Which requests get a line of the access log.
enum class AccessLogged : std::uint8_t { all, limited /* limited, denied, banned, shadow-limited */, off };

/// A line for each request, on a descriptor (standard output). The request never waits for it: the line is
/// formatted into a ring of the worker, without allocation, and written by one background task through a
/// thread that may block. When whoever reads the descriptor is slower than the requests, lines are dropped
/// and counted, and the log says how many as soon as it can. Lines of different workers may change places
/// within `delay`; each tells its time.
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

    /// The body of the background task: writes what the requests leave, and returns after close(). While
    /// there are no requests it does not wake up.
    void run();

    /// Ends run() once the lines that are already here are written, or, when the reader has stopped reading,
    /// after `patience`. Call it once. Any thread.
    void close(runtime::Duration patience = std::chrono::seconds(1)) noexcept;

    std::uint64_t lines() const noexcept;
    std::uint64_t dropped() const noexcept;

  private:
    // Where one worker leaves its lines; one more is shared, under its mutex, by all other threads.
    struct Lane;

    void wake_writer(bool urgently) noexcept;
    void write_out();
    void empty(Lane& lane);
    void tell_dropped();
    bool give_up() const noexcept;

    // Fixed.
    const int descriptor_;
    const runtime::Duration delay_;

    PerWorker<std::unique_ptr<Lane>> lanes_;
    std::atomic<AccessLogged> which_;
    std::atomic<LogFormat> format_;

    // Between write() and run(): the protocol is in access_log.cpp.
    std::atomic<bool> awake_{false};
    std::atomic<bool> urged_{false};
    runtime::Semaphore wake_{0};
    runtime::Semaphore urge_{0};
    std::atomic<std::chrono::steady_clock::rep> give_up_at_;  // max() until close()

    // Written by the writer only.
    std::atomic<std::uint64_t> lost_{0};  // lines that reached the writer and could not be written
    std::uint64_t told_ = 0;
};

}  // namespace sluice::telemetry
