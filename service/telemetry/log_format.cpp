#include "service/telemetry/log_format.h"

#include "service/telemetry/line_writer.h"

namespace sluice::telemetry {
namespace {

// Bytes that a value may take in a line, escapes included; together they and the rest stay below
// kAccessLineMax.
constexpr std::size_t kTargetMax = 2048;
constexpr std::size_t kHostMax = 256;
constexpr std::size_t kValueMax = 128;
constexpr std::size_t kMethodMax = 32;

// The parts that both formats share, in one order. `line` is one of the two classes below.
template <class Line>
void write_details(Line& line, const RequestOutcome& outcome) {
    line.number("bytes_in", outcome.bytes_in);
    line.number("bytes_out", outcome.bytes_out);
    if (!outcome.limit.empty()) line.string("limit", outcome.limit, kValueMax);
    if (outcome.delayed) line.yes("delayed");
    if (outcome.shadow_limited) line.yes("shadow_limited");
    if (outcome.route) line.number("route", *outcome.route);
    if (outcome.forwarded()) line.string("upstream", outcome.upstream, kValueMax);
    if (!outcome.server.empty()) line.string("server", outcome.server, kValueMax);
    if (outcome.upstream_duration > runtime::Duration::zero()) {
        line.seconds("upstream_seconds", outcome.upstream_duration);
    }
    if (outcome.failure != UpstreamFailure::none) line.string("failure", name(outcome.failure), kValueMax);
    if (outcome.retries != 0) line.number("retries", outcome.retries);
    if (outcome.client_aborted) line.yes("client_aborted");
    if (!outcome.request_id.empty()) line.string("request_id", outcome.request_id, kValueMax);
}

class JsonLine {
  public:
    explicit JsonLine(LineWriter& out) : out_(out) {}

    void string(std::string_view key, std::string_view value, std::size_t bytes_max) {
        begin(key);
        out_.text("\"");
        out_.escaped(value, bytes_max);
        out_.text("\"");
    }
    void number(std::string_view key, std::uint64_t value) {
        begin(key);
        out_.number(value);
    }
    void seconds(std::string_view key, runtime::Duration value) {
        begin(key);
        out_.seconds(value);
    }
    void yes(std::string_view key) {
        begin(key);
        out_.text("true");
    }

  private:
    void begin(std::string_view key) {
        out_.text(",\"");
        out_.text(key);
        out_.text("\":");
    }

    LineWriter& out_;
};

class TextLine {
  public:
    explicit TextLine(LineWriter& out) : out_(out) {}

    // Quoted only when a reader could not tell its end.
    void string(std::string_view key, std::string_view value, std::size_t bytes_max) {
        begin(key);
        const bool quote = value.empty() || value.find_first_of(" \"=") != value.npos;
        if (quote) out_.text("\"");
        out_.escaped(value, bytes_max);
        if (quote) out_.text("\"");
    }
    void number(std::string_view key, std::uint64_t value) {
        begin(key);
        out_.number(value);
    }
    void seconds(std::string_view key, runtime::Duration value) {
        begin(key);
        out_.seconds(value);
    }
    void yes(std::string_view key) {
        out_.text(" ");
        out_.text(key);
    }

  private:
    void begin(std::string_view key) {
        out_.text(" ");
        out_.text(key);
        out_.text("=");
    }

    LineWriter& out_;
};

void write_json(LineWriter& out, const RequestOutcome& outcome, std::chrono::system_clock::time_point now) {
    out.text("{\"time\":\"");
    out.time(now);
    out.text("\",\"event\":\"request\"");
    JsonLine line(out);
    if (!outcome.client.empty()) line.string("client", outcome.client, kValueMax);
    if (!outcome.method.empty()) line.string("method", outcome.method, kMethodMax);
    if (!outcome.host.empty()) line.string("host", outcome.host, kHostMax);
    if (!outcome.target.empty()) line.string("target", outcome.target, kTargetMax);
    line.number("status", outcome.status);
    line.string("verdict", name(outcome.verdict), kValueMax);
    line.seconds("duration_seconds", outcome.duration);
    write_details(line, outcome);
    out.text("}\n");
}

void write_text(LineWriter& out, const RequestOutcome& outcome, std::chrono::system_clock::time_point now) {
    const auto or_dash = [&](std::string_view value, std::size_t bytes_max) {
        value.empty() ? out.text("-") : out.escaped(value, bytes_max);
    };
    out.time(now);
    out.text(" ");
    or_dash(outcome.client, kValueMax);
    out.text(" \"");
    or_dash(outcome.method, kMethodMax);
    out.text(" ");
    or_dash(outcome.host, kHostMax);
    out.text(" ");
    or_dash(outcome.target, kTargetMax);
    out.text("\" ");
    out.number(outcome.status);
    out.text(" ");
    out.text(name(outcome.verdict));
    out.text(" ");
    out.seconds(outcome.duration);
    out.text("s");
    TextLine line(out);
    write_details(line, outcome);
    out.text("\n");
}

}  // namespace

std::size_t format_access_line(std::span<char, kAccessLineMax> line, const RequestOutcome& outcome,
                               std::chrono::system_clock::time_point now, LogFormat format) noexcept {
    LineWriter out(line);
    format == LogFormat::json ? write_json(out, outcome, now) : write_text(out, outcome, now);
    return out.size();
}

std::size_t format_dropped_line(std::span<char, kAccessLineMax> line, std::uint64_t count,
                                std::chrono::system_clock::time_point now, LogFormat format) noexcept {
    LineWriter out(line);
    if (format == LogFormat::json) {
        out.text("{\"time\":\"");
        out.time(now);
        out.text("\",\"event\":\"access_log_dropped\",\"lines\":");
        out.number(count);
        out.text("}\n");
    } else {
        out.time(now);
        out.text(" access log: ");
        out.number(count);
        out.text(" lines dropped, the reader was too slow\n");
    }
    return out.size();
}

}  // namespace sluice::telemetry
