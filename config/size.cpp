#include "config/size.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <optional>

#include "config/model.h"
#include "config/quote.h"

namespace sluice::config {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t bytes;
};

constexpr std::array<Unit, 8> kUnits{{{"GiB", 1ULL << 30},
                                      {"MiB", 1ULL << 20},
                                      {"KiB", 1ULL << 10},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"kB", 1'000},
                                      {"KB", 1'000},
                                      {"B", 1}}};

constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// kUnlimited is what is well written and larger than any size.
std::optional<std::uint64_t> scan(std::string_view text) {
    std::uint64_t count = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, count);
    if (error == std::errc::invalid_argument) return std::nullopt;
    const std::string_view name(end, static_cast<std::size_t>(last - end));
    const auto* const unit =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == name; });
    if (unit == kUnits.end()) return std::nullopt;
    const bool fits = error == std::errc{} && count <= kLargest / unit->bytes;
    return fits ? count * unit->bytes : kUnlimited;
}

// "16k", "16 kib" and "16" are how other programs write it.
std::string suggestion(std::string_view text) {
    std::string guess;
    for (const char c : text) {
        if (c != ' ') guess += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    const auto letters = guess.find_first_not_of("0123456789");
    if (letters == 0 || guess.empty()) return {};
    const std::string unit = letters == std::string::npos ? "" : guess.substr(letters);
    const std::string number = guess.substr(0, letters);
    if (unit.empty() || unit == "BYTES") {
        guess = number + "B";
    } else if (std::string_view("KMG").find(unit[0]) != std::string_view::npos) {
        guess = number + unit[0] + "iB";
    }
    return scan(guess) ? "; did you mean " + quote(guess) + "?" : std::string{};
}

}  // namespace

std::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
    if (const auto bytes = scan(text)) {
        if (*bytes != kUnlimited) return *bytes;
        return std::unexpected(quote(text) + " is too large (less than 2^63 bytes)");
    }
    return std::unexpected(quote(text) +
                           " is not a size (bytes, or a text such as \"64KiB\", \"10MiB\" or \"1MB\"" +
                           suggestion(text) + ")");
}

std::string size_text(std::uint64_t bytes) {
    if (bytes == kUnlimited) return "unlimited";
    for (const Unit& unit : {kUnits[0], kUnits[1], kUnits[2]}) {
        if (bytes != 0 && bytes % unit.bytes == 0)
            return std::to_string(bytes / unit.bytes) + std::string(unit.name);
    }
    return std::to_string(bytes) + "B";
}

}  // namespace sluice::config
