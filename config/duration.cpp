#include "config/duration.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <utility>

#include "config/quote.h"

namespace sluice::config {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t nanoseconds;
};

// The largest first. Each is a power of ten times a small number, which makes decimals exact.
constexpr std::array<Unit, 7> kUnits{{{"d", 86'400'000'000'000},
                                      {"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1}}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 22> kAliases{
    {{"day", "d"},          {"days", "d"},          {"hr", "h"},    {"hrs", "h"},
     {"hour", "h"},         {"hours", "h"},         {"min", "m"},   {"mins", "m"},
     {"minute", "m"},       {"minutes", "m"},       {"sec", "s"},   {"secs", "s"},
     {"second", "s"},       {"seconds", "s"},       {"msec", "ms"}, {"msecs", "ms"},
     {"millisecond", "ms"}, {"milliseconds", "ms"}, {"usec", "us"}, {"µs", "us"},
     {"nsec", "ns"},        {"nanoseconds", "ns"}}};

__extension__ using Wide = unsigned __int128;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// What is left to read. Each step takes its piece from the front.
class Scanner {
  public:
    explicit Scanner(std::string_view text) : rest_(text) {}
    bool done() const { return rest_.empty(); }

    std::string_view digits() { return take(is_digit); }
    std::string_view letters() {
        return take([](char c) { return !is_digit(c) && c != '.'; });
    }
    bool dot() {
        if (rest_.empty() || rest_[0] != '.') return false;
        rest_.remove_prefix(1);
        return true;
    }

  private:
    template <class Of>
    std::string_view take(Of of) {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), of);
        const auto piece = rest_.substr(0, static_cast<std::size_t>(end - rest_.begin()));
        rest_.remove_prefix(piece.size());
        return piece;
    }
    std::string_view rest_;
};

// digits × unit, or -1 beyond kLongest.
std::int64_t whole(std::string_view digits, std::int64_t unit) {
    std::int64_t value = 0;
    for (const char c : digits) {
        value = value * 10 + (c - '0');
        if (value > kLongest.count() / unit) return -1;
    }
    return value * unit;
}

// 0.digits × unit, or -1 when that is no whole number of nanoseconds. Then it has more than 16 digits before
// its zeros, or what is left over below: a unit is 2^16 × 5^11 × 27 at most, and the digits hold twos or
// fives, not both.
std::int64_t decimals(std::string_view digits, std::int64_t unit) {
    constexpr std::size_t kMost = 16;
    digits = digits.substr(0, digits.find_last_not_of('0') + 1);
    if (digits.size() > kMost) return -1;
    Wide value = 0, over = 1;
    for (const char c : digits) {
        value = value * 10 + static_cast<unsigned>(c - '0');
        over *= 10;
    }
    value *= static_cast<std::uint64_t>(unit);
    return value % over == 0 ? static_cast<std::int64_t>(value / over) : -1;
}

// Zero or below: not a duration.
std::int64_t scan(std::string_view text) {
    Scanner scanner(text);
    std::int64_t total = 0;
    const Unit* larger = nullptr;
    while (!scanner.done()) {
        const auto digits = scanner.digits();
        const bool dot = scanner.dot();
        const auto fraction = dot ? scanner.digits() : std::string_view{};
        const auto name = scanner.letters();
        const auto* const unit =
            std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == name; });
        if (digits.empty() || (dot && fraction.empty()) || unit == kUnits.end() || (larger && unit <= larger))
            return -1;
        const std::int64_t a = whole(digits, unit->nanoseconds);
        const std::int64_t b = decimals(fraction, unit->nanoseconds);
        if (a < 0 || b < 0) return -1;
        total += a + b;
        if (total > kLongest.count()) return -1;
        larger = unit;
    }
    return total;
}

std::string suggestion(std::string_view text) {
    std::string guess = with_known_units(text);
    if (!guess.empty() && std::all_of(guess.begin(), guess.end(), is_digit)) guess += 's';
    return scan(guess) > 0 ? "; did you mean " + quote(guess) + "?" : std::string{};
}

}  // namespace

std::expected<Duration, std::string> parse_duration(std::string_view text) {
    const std::int64_t nanoseconds = scan(text);
    if (nanoseconds > 0) return Duration(nanoseconds);
    return std::unexpected(
        quote(text) +
        " is not a duration (above 0 and at most 3650d, such as \"250ms\", \"1.5s\" or \"1h30m\"" +
        suggestion(text) + ")");
}

std::string to_string(Duration duration) {
    const auto* const unit = std::find_if(
        kUnits.begin(), kUnits.end(), [&](const Unit& u) { return duration.count() % u.nanoseconds == 0; });
    return std::to_string(duration.count() / unit->nanoseconds) + std::string(unit->name);
}

std::string with_known_units(std::string_view text) {
    std::string out, word;
    const auto flush = [&] {
        const auto* const alias =
            std::find_if(kAliases.begin(), kAliases.end(), [&](const auto& a) { return a.first == word; });
        out += alias == kAliases.end() ? std::string_view(word) : alias->second;
        word.clear();
    };
    for (const char c : text) {
        const bool letter =
            std::isalpha(static_cast<unsigned char>(c)) || static_cast<unsigned char>(c) >= 0x80;
        if (letter) {
            word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            continue;
        }
        flush();
        if (c != ' ' && c != '_') out += c;
    }
    flush();
    return out;
}

}  // namespace sluice::config
