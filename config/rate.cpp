#include "config/rate.h"

#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

#include "config/duration.h"
#include "config/quote.h"

namespace sluice::config {
namespace {

constexpr Duration kLongestPeriod = std::chrono::hours(24 * 365);

constexpr std::uint64_t kTooLarge = std::numeric_limits<std::uint64_t>::max();

// kTooLarge where there are too many digits.
std::optional<std::uint64_t> count_of(std::string_view digits) {
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) return std::nullopt;
    return error == std::errc{} ? count : kTooLarge;
}

std::optional<Duration> period_of(std::string_view unit) {
    if (unit.empty()) return std::nullopt;
    const bool bare = unit.find_first_of("0123456789.") == std::string_view::npos;
    const auto period = parse_duration(bare ? "1" + std::string(unit) : std::string(unit));
    return period ? std::optional(*period) : std::nullopt;
}

std::optional<Rate> written(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto count = count_of(text.substr(0, slash));
    const auto period = period_of(text.substr(slash + 1));
    if (!count || !period) return std::nullopt;
    return Rate{*count, *period, std::string(text)};
}

// What a rate must not be, well written as it is; empty: nothing.
std::string_view objection(const Rate& rate) {
    if (rate.count == 0) return "counts nothing (1 is the least)";
    if (rate.count == kTooLarge) return "is too large (at most one each nanosecond)";
    if (rate.per > kLongestPeriod) return "has a period of more than 365d";
    if (rate.count > static_cast<std::uint64_t>(rate.per.count())) return "is more than one each nanosecond";
    return {};
}

std::optional<Rate> scan(std::string_view text) {
    auto rate = written(text);
    return rate && objection(*rate).empty() ? std::move(rate) : std::nullopt;
}

void replace(std::string& text, std::string_view what, std::string_view by) {
    if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
}

// "0.5/s" is "1/2s"; other texts stay.
std::string without_decimals(const std::string& text) {
    constexpr std::size_t most = 9;  // digits, so that nothing overflows
    const auto dot = text.find('.'), slash = text.find('/');
    if (dot == std::string::npos || slash == std::string::npos || dot > slash || slash > most) return text;
    const auto units = count_of(text.substr(0, dot) + text.substr(dot + 1, slash - dot - 1));
    const auto period = period_of(text.substr(slash + 1));
    if (!units || *units == 0 || !period) return text;
    std::uint64_t parts = 1;
    for (std::size_t i = dot + 1; i < slash; ++i) parts *= 10;
    const std::uint64_t common = std::gcd(*units, parts);
    parts /= common;
    const std::string count = std::to_string(*units / common) + "/";
    if (parts == 1) return count + text.substr(slash + 1);
    if (*period > kLongestPeriod / static_cast<std::int64_t>(parts)) return text;
    return count + to_string(*period * static_cast<std::int64_t>(parts));
}

// "10 per second", "10r/s", "10rps" and "10" are how other programs write it.
std::string suggestion(std::string_view text) {
    std::string guess = with_known_units(text);
    for (const std::string_view word : {"requests", "request", "reqs", "req"}) replace(guess, word, "");
    for (const std::string_view word : {"rps", "r/s", "ps"}) replace(guess, word, "/s");
    for (const std::string_view word : {"rpm", "r/m"}) replace(guess, word, "/m");
    replace(guess, "per", "/");
    // A second time: "per" may have hidden a unit's name.
    guess = with_known_units(guess);
    if (guess.find('/') == std::string::npos) guess += "/s";
    guess = without_decimals(guess);
    return scan(guess) ? "; did you mean " + quote(guess) + "?" : std::string{};
}

}  // namespace

std::expected<Rate, std::string> parse_rate(std::string_view text) {
    if (auto rate = written(text)) {
        const std::string_view wrong = objection(*rate);
        if (wrong.empty()) return *std::move(rate);
        return std::unexpected(quote(text) + " " + std::string(wrong));
    }
    return std::unexpected(quote(text) +
                           " is not a rate (COUNT/UNIT, such as \"10/s\", \"100/m\" or \"100/10s\"" +
                           suggestion(text) + ")");
}

}  // namespace sluice::config
