#include "service/commands/stats_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

namespace sluice::commands {
namespace {

using nlohmann::json;

// The value at `pointer`, or that of an empty object: reads as absent.
const json& at(const json& from, const char* pointer) {
    static const json kNothing;
    const json::json_pointer path(pointer);
    return from.contains(path) ? from.at(path) : kNothing;
}

double number(const json& from, const char* pointer) {
    const json& value = at(from, pointer);
    return value.is_number() ? value.get<double>() : 0;
}

// No control characters: they would be the terminal's to obey.
std::string text(const json& from, const char* pointer) {
    const json& value = at(from, pointer);
    std::string out = value.is_string() ? value.get<std::string>() : std::string();
    std::ranges::replace_if(
        out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return out;
}

const json& list(const json& from, const char* pointer) {
    static const json kEmpty = json::array();
    const json& value = at(from, pointer);
    return value.is_array() ? value : kEmpty;
}

template <class... Args>
std::string print(const char* format, Args... args) {
    std::array<char, 256> buffer;
    std::snprintf(buffer.data(), buffer.size(), format, args...);
    return buffer.data();
}

// 1234567 as 1,234,567.
std::string count(double value) {
    const std::string digits = print("%.0f", value);
    std::string grouped;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
        grouped += digits[i];
    }
    return grouped;
}

std::string bytes(double value) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) value /= 1024, ++unit;
    return print(unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
}

std::string duration(double seconds) {
    if (seconds <= 0) return "0";
    if (seconds < 1e-3) return print("%.0f us", seconds * 1e6);
    if (seconds < 1) return print("%.1f ms", seconds * 1e3);
    if (seconds < 120) return print("%.1f s", seconds);
    const auto minutes = static_cast<long>(seconds / 60);
    if (minutes < 120) return print("%ld min", minutes);
    return minutes < 48 * 60 ? print("%ld h %ld min", minutes / 60, minutes % 60)
                             : print("%ld d %ld h", minutes / 1440, minutes / 60 % 24);
}

// In characters: bytes that go on with one are none.
std::size_t width(const std::string& cell) {
    return static_cast<std::size_t>(std::ranges::count_if(cell, [](char c) { return (c & 0xc0) != 0x80; }));
}

// Columns as wide as their widest cell; the first `left` flush left, the others, which are numbers, flush
// right.
class Table {
  public:
    Table(std::size_t left, std::vector<std::string> head) : left_(left) { rows_.push_back(std::move(head)); }

    void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

    std::string str() const {
        std::vector<std::size_t> widths(rows_.front().size());
        for (const auto& row : rows_) {
            for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
        }
        std::string out;
        for (const auto& row : rows_) {
            for (std::size_t i = 0; i < row.size(); ++i) {
                const std::string padding(widths[i] - width(row[i]), ' ');
                out.append(i == 0 ? "" : "  ").append(i < left_ ? row[i] + padding : padding + row[i]);
            }
            out.erase(out.find_last_not_of(' ') + 1);
            out += '\n';
        }
        return out;
    }

  private:
    const std::size_t left_;
    std::vector<std::vector<std::string>> rows_;
};

// The rates between two answers.
class Rates {
  public:
    Rates(const json& now, const json& before, double seconds)
        : now_(now), before_(before), seconds_(seconds) {}

    bool known() const { return before_.is_object() && seconds_ > 0; }
    std::string of(const char* pointer) const {
        const double per_second = std::max(number(now_, pointer) - number(before_, pointer), 0.0) / seconds_;
        return print(per_second < 10 ? "%.1f" : "%.0f", per_second);
    }

  private:
    const json& now_;
    const json& before_;
    const double seconds_;
};

std::string head(const json& stats) {
    const json& ready = at(stats, "/ready");
    return "sluice " + text(stats, "/version") + "   " + (ready == json(true) ? "ready" : "NOT READY") +
           "   up " + duration(number(stats, "/uptime_seconds")) + "   connections " +
           count(number(stats, "/connections/open")) + " open, " +
           count(number(stats, "/connections/accepted")) + " accepted, " +
           count(number(stats, "/connections/refused")) + " refused\n";
}

// Only what needs somebody to look after it.
std::string config(const json& stats) {
    if (at(stats, "/config/last_reload_ok") != json(false)) return "";
    return "config       THE LAST RELOAD FAILED " +
           duration(number(stats, "/config/last_reload_seconds_ago")) +
           " ago: nothing has changed, and the log says why\n";
}

std::string requests(const json& stats, const Rates& rates) {
    static constexpr std::array<std::pair<const char*, const char*>, 8> kRows = {{
        {"requests", "/requests/total"},
        {"  allowed", "/requests/allowed"},
        {"  limited", "/requests/limited"},
        {"  delayed", "/requests/delayed"},
        {"  shadow-limited", "/requests/shadow_limited"},
        {"  denied", "/requests/denied"},
        {"  banned", "/requests/banned"},
        {"in flight", "/requests/in_flight"},
    }};
    std::vector<std::string> columns{"", "total"};
    if (rates.known()) columns.emplace_back("per second");
    Table table(1, columns);
    for (const auto& [label, pointer] : kRows) {
        std::vector<std::string> cells{label, count(number(stats, pointer))};
        if (rates.known() && std::string_view(label) != "in flight") cells.push_back(rates.of(pointer));
        table.row(std::move(cells));
    }
    std::string out = table.str() + "\nstatus     ";
    for (const auto& [status, n] : at(stats, "/requests/by_status").items()) {
        if (n.is_number()) out += "  " + status + ": " + count(n.get<double>());
    }
    return out + "\nlatency      p50 " + duration(number(stats, "/latency_seconds/p50")) + "   p90 " +
           duration(number(stats, "/latency_seconds/p90")) + "   p99 " +
           duration(number(stats, "/latency_seconds/p99")) + "   p99.9 " +
           duration(number(stats, "/latency_seconds/p999")) + "\n";
}

// Of a limit in shadow mode, what it would have limited. Who delays nothing has no column for it.
std::string limits(const json& stats) {
    const json& all = list(stats, "/limits");
    const bool any_delayed =
        std::ranges::any_of(all, [](const json& limit) { return number(limit, "/delayed") > 0; });
    std::vector<std::string> columns{"limit", "algorithm", "rate", "burst", "allowed", "limited"};
    if (any_delayed) columns.emplace_back("delayed");
    columns.emplace_back("clients");
    Table table(2, std::move(columns));
    for (const json& limit : all) {
        const bool shadow = text(limit, "/mode") == "shadow";
        const bool concurrency = at(limit, "/rate").is_null();
        const bool bucket = at(limit, "/burst").is_number();
        std::vector<std::string> cells{text(limit, "/name") + (shadow ? " (shadow)" : ""),
                                       text(limit, "/algorithm"),
                                       concurrency ? count(number(limit, "/max")) : text(limit, "/rate"),
                                       bucket ? count(number(limit, "/burst")) : "-",
                                       count(number(limit, "/allowed")),
                                       count(number(limit, "/limited") + number(limit, "/shadow_limited"))};
        if (any_delayed) cells.push_back(count(number(limit, "/delayed")));
        cells.push_back(count(number(limit, "/clients")));
        table.row(std::move(cells));
    }
    return table.str();
}

std::string health(const json& server) {
    if (at(server, "/healthy") == json(true)) return "up";
    return at(server, "/ejected_until").is_string() ? "EJECTED" : "DOWN";
}

std::string weight(const json& server) {
    return count(number(server, "/weight")) + (at(server, "/backup") == json(true) ? " backup" : "");
}

std::string upstreams(const json& stats) {
    Table table(3, {"upstream", "server", "health", "weight", "requests", "failed", "busy", "open", "idle"});
    for (const json& upstream : list(stats, "/upstreams")) {
        for (const json& server : list(upstream, "/servers")) {
            table.row({text(upstream, "/name"), text(server, "/address"), health(server), weight(server),
                       count(number(server, "/requests")), count(number(server, "/failures")),
                       count(number(server, "/in_flight")), count(number(server, "/connections_open")),
                       count(number(server, "/connections_idle"))});
        }
    }
    return table.str();
}

std::string foot(const json& stats) {
    return "clients      " + count(number(stats, "/clients/tracked")) + " of " +
           count(number(stats, "/clients/max")) + " tracked, " + bytes(number(stats, "/clients/bytes")) +
           "; evicted " + count(number(stats, "/clients/evicted_idle")) + " idle, " +
           count(number(stats, "/clients/evicted_full")) + " for room\nbans         " +
           count(number(stats, "/bans/active")) + " active, " + count(number(stats, "/bans/made")) +
           " made, " + count(number(stats, "/bans/lifted")) + " lifted, " +
           count(number(stats, "/bans/expired")) + " expired, " + count(number(stats, "/bans/no_room")) +
           " found no room\njanitor      " + count(number(stats, "/janitor/sweeps")) + " sweeps, the last " +
           duration(number(stats, "/janitor/last_sweep_seconds")) + ", longest pause " +
           duration(number(stats, "/janitor/longest_pause_seconds")) + ", next in " +
           duration(number(stats, "/janitor/next_in_seconds")) + "\nruntime      " +
           count(number(stats, "/runtime/workers")) + " workers, " +
           count(number(stats, "/runtime/tasks/live")) + " tasks (" +
           count(number(stats, "/runtime/tasks/peak")) + " at most), " +
           count(number(stats, "/runtime/steals")) + " steals, stacks " +
           bytes(number(stats, "/runtime/stack_bytes")) + "\n";
}

}  // namespace

std::string stats_table(std::string_view body, std::string_view previous, double seconds) {
    const json stats = json::parse(body);
    const json before = previous.empty() ? json() : json::parse(previous);
    return head(stats) + config(stats) + "\n" + requests(stats, Rates(stats, before, seconds)) + "\n" +
           limits(stats) + "\n" + upstreams(stats) + "\n" + foot(stats);
}

}  // namespace sluice::commands
