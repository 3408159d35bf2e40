// Durations and rates, as texts of any bytes and as texts of the signs that they are made of: read as exact
// fractions here, and by another reader, they are the same or no value at all. A guess at what was meant is a
// value; a duration reads back from its own text; and a limit of a rate gives its next token when the
// fraction says, to the nanosecond.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "config/duration.h"
#include "config/rate.h"
#include "service/limit/gcra.h"

namespace {

using namespace sluice;
__extension__ using Number = unsigned __int128;

void require(bool holds) {
    if (!holds) std::abort();
}

constexpr Number kNanosMax = Number{3650} * 86'400 * 1'000'000'000;
constexpr Number kPeriodMax = Number{365} * 86'400 * 1'000'000'000;

bool is_digit(char c) {
    return '0' <= c && c <= '9';
}

/// The digits at the front as a number; nullopt: more than 20 of them count, which no value has.
std::optional<Number> number(std::string_view digits) {
    while (digits.starts_with('0')) digits.remove_prefix(1);
    if (digits.size() > 20) return std::nullopt;
    Number value = 0;
    for (const char c : digits) value = value * 10 + static_cast<unsigned>(c - '0');
    return value;
}

std::string_view front_digits(std::string_view text) {
    std::size_t n = 0;
    while (n < text.size() && is_digit(text[n])) ++n;
    return text.substr(0, n);
}

/// The unit at the front, and its place in the order of units.
struct Unit {
    std::string_view name;
    std::uint64_t nanoseconds;
};
constexpr std::array<Unit, 7> kUnits{{{"ns", 1},
                                      {"us", 1'000},
                                      {"ms", 1'000'000},
                                      {"d", 86'400'000'000'000},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000}}};

const Unit* front_unit(std::string_view text) {
    for (const Unit& unit : kUnits)  // two letters before the one that they begin with
        if (text.starts_with(unit.name)) return &unit;
    return nullptr;
}

/// NUMBER UNIT (NUMBER UNIT)*: the sum of fractions that are each a whole number of nanoseconds.
std::optional<Number> nanoseconds(std::string_view text) {
    Number sum = 0;
    std::uint64_t last = UINT64_MAX;
    do {
        const std::string_view whole = front_digits(text);
        if (whole.empty()) return std::nullopt;
        text.remove_prefix(whole.size());
        std::string_view decimals;
        if (text.starts_with('.')) {
            decimals = front_digits(text.substr(1));
            if (decimals.empty()) return std::nullopt;
            text.remove_prefix(1 + decimals.size());
        }
        const Unit* unit = front_unit(text);
        if (!unit || unit->nanoseconds >= last) return std::nullopt;
        text.remove_prefix(unit->name.size());
        last = unit->nanoseconds;

        while (decimals.ends_with('0')) decimals.remove_suffix(1);
        if (decimals.size() > 20) return std::nullopt;  // not whole: 2^16 and 5^11 are all that a unit holds
        Number parts = 1;
        for (std::size_t i = 0; i < decimals.size(); ++i) parts *= 10;
        const auto a = number(whole), b = number(decimals);
        if (!a || *b * unit->nanoseconds % parts != 0) return std::nullopt;
        sum += *a * unit->nanoseconds + *b * unit->nanoseconds / parts;
        if (sum > kNanosMax) return std::nullopt;
    } while (!text.empty());
    return sum == 0 ? std::nullopt : std::optional(sum);
}

/// COUNT/UNIT, or COUNT/DURATION.
struct Fraction {
    Number count, per;
};
std::optional<Fraction> fraction(std::string_view text) {
    const std::string_view digits = front_digits(text);
    if (digits.empty() || !text.substr(digits.size()).starts_with('/')) return std::nullopt;
    const std::string_view period = text.substr(digits.size() + 1);
    const Unit* unit = front_unit(period);
    const auto count = number(digits);
    const auto per =
        unit && unit->name == period ? std::optional<Number>(unit->nanoseconds) : nanoseconds(period);
    if (!count || !per || *count == 0 || *per > kPeriodMax || *count > *per) return std::nullopt;
    return Fraction{*count, *per};
}

/// What is said about a text that is no value: on one line, and with a guess that is one, if any.
template <class Parse>
void check_complaint(std::string_view message, Parse parse) {
    require(!message.empty() && !message.contains('\n'));
    constexpr std::string_view kGuess = "; did you mean \"";
    const std::size_t at = message.rfind(kGuess);
    if (at == std::string_view::npos || !message.ends_with("\"?)")) return;
    const std::string_view guess =
        message.substr(at + kGuess.size(), message.size() - 3 - at - kGuess.size());
    if (!guess.ends_with("…")) require(parse(guess).has_value());  // else it is not shown whole
}

void check_duration(std::string_view text) {
    const auto read = config::parse_duration(text);
    const auto exact = nanoseconds(text);
    require(read.has_value() == exact.has_value());
    if (!read) return check_complaint(read.error(), config::parse_duration);
    require(static_cast<Number>(read->count()) == *exact);
    const std::string again = config::to_string(*read);
    require(config::parse_duration(again) == *read && nanoseconds(again) == exact);
}

// An empty bucket, never full: the n-th token is there at n × per/count, rounded up, whoever took those
// before.
void check_tokens(const config::Rate& rate, const Fraction& exact) {
    const limit::Bucket bucket(rate.count, rate.per, 2);
    limit::State state;
    constexpr limit::Nanos kBegin = 1'000'000'000;
    require(bucket.take(state, 2, kBegin).admitted);
    for (Number n = 1; n <= 8; ++n) {
        const auto at = kBegin + static_cast<limit::Nanos>((n * exact.per + exact.count - 1) / exact.count);
        limit::State early = state;
        const limit::Answer refused = bucket.take(early, 1, at - 1);
        require(!refused.admitted && refused.retry_after == 1);
        require(bucket.take(state, 1, at).admitted);
    }
}

void check_rate(std::string_view text) {
    const auto read = config::parse_rate(text);
    const auto exact = fraction(text);
    require(read.has_value() == exact.has_value());
    if (!read) return check_complaint(read.error(), config::parse_rate);
    require(read->count == exact->count && static_cast<Number>(read->per.count()) == exact->per &&
            read->text == text);
    if (read->count <= UINT32_MAX) check_tokens(*read, *exact);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string raw(reinterpret_cast<const char*>(data), size);
    constexpr std::string_view kSigns = "0123456789./dhmsun";
    std::string likely;
    for (const char c : raw) likely += kSigns[static_cast<std::uint8_t>(c) % kSigns.size()];
    for (const std::string& text : {raw, likely}) {
        check_duration(text);
        check_rate(text);
    }
    return 0;
}
