#include "service/telemetry/line_writer.h"

#include <algorithm>
#include <cstdint>

#include "config/json_string.h"

namespace sluice::telemetry {
namespace {

constexpr std::string_view kEllipsis = "…";
}  // namespace

void LineWriter::escaped(std::string_view s, std::size_t bytes_max) {
    std::size_t left = std::min(bytes_max, room());
    // Nearly all of it is plain: one copy. What remains, and what may have to be cut, goes character by
    // character.
    const auto stop = std::find_if_not(s.begin(), s.end(), config::stands_for_itself);
    const auto run = static_cast<std::size_t>(stop - s.begin());
    if (run == s.size() && run <= left) return text(s);
    const std::size_t safe = std::min(run, left > kEllipsis.size() ? left - kEllipsis.size() : 0);
    text(s.substr(0, safe));
    s.remove_prefix(safe);
    left -= safe;
    while (!s.empty()) {
        char scratch[6];
        const std::string_view out = config::take_escaped(s, scratch);
        if (out.size() + (s.empty() ? 0 : kEllipsis.size()) > left) {
            if (kEllipsis.size() <= left) text(kEllipsis);
            return;
        }
        text(out);
        left -= out.size();
    }
}

void LineWriter::seconds(std::chrono::nanoseconds duration) {
    const auto micros = std::max<std::int64_t>(duration.count() / 1000, 0);
    number(micros / 1'000'000);
    text(".");
    if (room() >= 6) digits(static_cast<unsigned>(micros % 1'000'000), 6);
}

void LineWriter::time(std::chrono::system_clock::time_point when) {
    using namespace std::chrono;
    const auto day = floor<days>(when);
    const year_month_day date(day);
    const hh_mm_ss clock(floor<milliseconds>(when - day));
    if (room() < std::string_view("2026-11-24T02:29:34.123Z").size()) return;
    const auto part = [this](auto value, unsigned width, char behind) {
        digits(static_cast<unsigned>(value), width);
        *at_++ = behind;
    };
    part(static_cast<int>(date.year()), 4, '-');
    part(static_cast<unsigned>(date.month()), 2, '-');
    part(static_cast<unsigned>(date.day()), 2, 'T');
    part(clock.hours().count(), 2, ':');
    part(clock.minutes().count(), 2, ':');
    part(clock.seconds().count(), 2, '.');
    part(clock.subseconds().count(), 3, 'Z');
}

void LineWriter::digits(unsigned value, unsigned width) {
    for (unsigned i = width; i-- > 0; value /= 10) at_[i] = static_cast<char>('0' + value % 10);
    at_ += width;
}

}  // namespace sluice::telemetry
