#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "runtime/time.h"
#include "service/telemetry/log_format.h"

namespace sluice::telemetry {

enum class LogLevel : std::uint8_t { debug, info, warn, error, off };

/// One named value of a log line.
struct LogField {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, double, bool> value;

    LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
    LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
    LogField(std::string_view n, bool v) : name(n), value(v) {}
    LogField(std::string_view n, double v) : name(n), value(v) {}
    template <std::integral Integer>
    LogField(std::string_view n, Integer v) : name(n), value(static_cast<std::int64_t>(v)) {}
};

/// The service's own log, on standard error: what an operator needs to know, not what each request did. A
/// line is
///
///     log.warn("upstream ejected", {{"upstream", "app"}, {"server", "10.0.0.7:3000"}, {"failures", 5}});
///
/// as JSON or as text. Any task or thread may call it; nothing parks: the lines go through a queue of 1,024
/// to a thread of their own, the oldest giving way when standard error is stuck. Allocates, so it is not for
/// the way of a request; a line that there is no memory for is lost.
class Log {
  public:
    struct Options {
        LogLevel level = LogLevel::info;
        LogFormat format = LogFormat::json;
        int descriptor = 2;
    };
    using Fields = std::initializer_list<LogField>;

    explicit Log(Options options);
    /// Writes what is queued.
    ~Log();
    Log(const Log&) = delete;

    void debug(std::string_view message, Fields fields = {}) { write(LogLevel::debug, message, fields); }
    void info(std::string_view message, Fields fields = {}) { write(LogLevel::info, message, fields); }
    void warn(std::string_view message, Fields fields = {}) { write(LogLevel::warn, message, fields); }
    void error(std::string_view message, Fields fields = {}) { write(LogLevel::error, message, fields); }
    void write(LogLevel level, std::string_view message, Fields fields = {});

    /// A reload.
    void configure(LogLevel level, LogFormat format);

  private:
    struct Impl;
    const std::unique_ptr<Impl> impl_;
};

/// Lets a warning through once an interval at most, and counts what it holds back:
///
///     if (auto held = throttle.permit(now)) log.warn("…", {{"held_back", *held}});
///
/// Any number of callers; no lock.
class Throttle {
  public:
    explicit Throttle(runtime::Duration every = std::chrono::minutes(1)) : every_(every) {}

    /// How many were held back since the last that was let through; nullopt: this one is to be held back.
    std::optional<std::uint64_t> permit(runtime::Time now) noexcept;

  private:
    const runtime::Duration every_;
    std::atomic<runtime::Time::rep> next_{runtime::Time::min().time_since_epoch().count()};
    std::atomic<std::uint64_t> held_{0};
};

}  // namespace sluice::telemetry
