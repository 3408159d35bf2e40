#include "config/rate.h"

#include <charconv>
#include <optional>

#include "config/duration.h"
#include "config/quote.h"

namespace sluice::config {
namespace {

constexpr Duration kLongestPeriod = std::chrono::hours(24 * 365);

std::optional<std::uint64_t> count_of(std::string_view digits) {
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return count;
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
