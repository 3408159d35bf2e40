#include "service/telemetry/log.h"

#include <csignal>
#include <new>
#include <string>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "service/telemetry/descriptor.h"
#include "service/telemetry/line_writer.h"

namespace sluice::telemetry {
namespace {

constexpr std::size_t kQueued = 1024;
constexpr std::size_t kLineMax = 8192;
constexpr std::size_t kMessageMax = 2048;
constexpr std::size_t kValueMax = 1024;
constexpr std::size_t kFieldMax =
    kValueMax + 128;  // with its name, which is ours; a line without room for it ends there
constexpr auto kPatience = std::chrono::seconds(1);

// Lines come finished; only the logger's own thread calls it, so it needs no lock. A line that standard error
// does not take in a second is given up, or a stuck reader would hold up the end of the process.
class DescriptorSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    explicit DescriptorSink(int descriptor) : descriptor_(descriptor) {}

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        const auto until = std::chrono::steady_clock::now() + kPatience;
        write_patiently(descriptor_, {message.payload.data(), message.payload.size()},
                        [until] { return std::chrono::steady_clock::now() >= until; });
    }
    void flush_() override {}

  private:
    const int descriptor_;
};

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warn: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
        case LogLevel::off: break;
    }
    return spdlog::level::off;
}

std::string_view name(LogLevel level) {
    static constexpr std::string_view kNames[] = {"debug", "info", "warn", "error", "off"};
    return kNames[static_cast<std::size_t>(level)];
}

// The signals of the process are for whoever waits for them.
void block_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void write_value(LineWriter& out, const LogField& field, bool quoted) {
    const auto visit = [&](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string_view>) {
            if (quoted) out.text("\"");
            out.escaped(value, kValueMax);
            if (quoted) out.text("\"");
        } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, bool>) {
            out.text(value ? "true" : "false");
        } else {
            out.number(value);
        }
    };
    std::visit(visit, field.value);
}

bool needs_quotes(const LogField& field) {
    const auto* text = std::get_if<std::string_view>(&field.value);
    return text && (text->empty() || text->find_first_of(" \"=") != text->npos);
}

std::string format_json(LogLevel level, std::string_view message, Log::Fields fields) {
    std::string line(kLineMax, '\0');
    LineWriter out(std::span<char>(line).first(kLineMax - 2));
    out.text("{\"time\":\"");
    out.time(std::chrono::system_clock::now());
    out.text("\",\"level\":\"");
    out.text(name(level));
    out.text("\",\"message\":\"");
    out.escaped(message, kMessageMax);
    out.text("\"");
    for (const LogField& field : fields) {
        if (out.room() < kFieldMax) break;
        out.text(",\"");
        out.text(field.name);
        out.text("\":");
        write_value(out, field, std::holds_alternative<std::string_view>(field.value));
    }
    line.resize(out.size());
    return line += "}\n";
}

std::string format_text(LogLevel level, std::string_view message, Log::Fields fields) {
    std::string line(kLineMax, '\0');
    LineWriter out(std::span<char>(line).first(kLineMax - 1));
    out.time(std::chrono::system_clock::now());
    out.text(" ");
    out.text(name(level));
    out.text(" ");
    out.escaped(message, kMessageMax);
    for (const LogField& field : fields) {
        if (out.room() < kFieldMax) break;
        out.text(" ");
        out.text(field.name);
        out.text("=");
        write_value(out, field, needs_quotes(field));
    }
    line.resize(out.size());
    return line += "\n";
}

}  // namespace

struct Log::Impl {
    explicit Impl(const Options& options)
        : thread(std::make_shared<spdlog::details::thread_pool>(kQueued, 1, block_signals)),
          logger(std::make_shared<spdlog::async_logger>(
              "sluice", std::make_shared<DescriptorSink>(options.descriptor), thread,
              spdlog::async_overflow_policy::overrun_oldest)),
          format(options.format) {
        logger->set_level(to_spdlog(options.level));
    }
    // The thread first: it writes what is queued and is joined, before the sink that it writes to goes.
    ~Impl() { thread.reset(); }

    std::shared_ptr<spdlog::details::thread_pool> thread;
    std::shared_ptr<spdlog::async_logger> logger;
    std::atomic<LogFormat> format;
};

Log::Log(Options options) : impl_(std::make_unique<Impl>(options)) {}
Log::~Log() = default;

void Log::write(LogLevel level, std::string_view message, Fields fields) {
    const auto to = to_spdlog(level);
    if (level == LogLevel::off || !impl_->logger->should_log(to)) return;
    const bool json = impl_->format.load(std::memory_order_relaxed) == LogFormat::json;
    try {
        impl_->logger->log(to,
                           json ? format_json(level, message, fields) : format_text(level, message, fields));
    } catch (const std::bad_alloc&) {  // a line less
    }
}

void Log::configure(LogLevel level, LogFormat format) {
    impl_->logger->set_level(to_spdlog(level));
    impl_->format.store(format, std::memory_order_relaxed);
}

std::optional<std::uint64_t> Throttle::permit(runtime::Time now) noexcept {
    const auto at = now.time_since_epoch().count();
    auto next = next_.load(std::memory_order_relaxed);
    if (at < next || !next_.compare_exchange_strong(next, at + every_.count(), std::memory_order_relaxed)) {
        held_.fetch_add(1, std::memory_order_relaxed);
        return std::nullopt;
    }
    return held_.exchange(0, std::memory_order_relaxed);
}

}  // namespace sluice::telemetry
